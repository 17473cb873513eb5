"""What everything else stands on: errors, the log, files, JSON, numbers, signals; nothing here needs more than the shim."""
