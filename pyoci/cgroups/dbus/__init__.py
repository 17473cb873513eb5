"""The little of D-Bus that talking to systemd needs."""
