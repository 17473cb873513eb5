"""Work on the host beside the container: hooks, helper programs, inherited descriptors, signals that are passed on."""
