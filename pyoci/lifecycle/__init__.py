"""The verbs: create, run, start, exec, kill, delete and the rest, and the store that remembers containers between them."""
