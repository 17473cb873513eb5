"""The page of `pyoci plan`."""
