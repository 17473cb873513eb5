"""The command line: one table of commands and options, and one module for each command."""
