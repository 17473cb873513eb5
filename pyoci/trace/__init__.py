"""The file of --trace and the picture that `pyoci trace` draws of it."""
