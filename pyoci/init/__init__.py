"""Our half of the conversation with the container's init: start it, send plans, read replies, explain how it ended."""
