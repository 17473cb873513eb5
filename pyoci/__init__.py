"""pyoci: an OCI container runtime in Python and C."""

__version__ = "0.2.0"
