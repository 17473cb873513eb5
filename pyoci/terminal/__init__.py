"""Terminals: handed over through a console socket, or served while the runtime stays in the foreground."""
