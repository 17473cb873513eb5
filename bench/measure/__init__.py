"""The measuring side of bench/run.py: nothing here is part of the runtime."""
