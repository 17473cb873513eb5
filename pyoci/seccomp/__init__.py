"""Seccomp filters: compiled from linux.seccomp, cached, and asked what they say of a system call."""
