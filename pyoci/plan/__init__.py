"""The compiler: from a checked configuration and what is known of the host to the ops that the init executes."""
