# What the mounts of type cgroup have to know of the container's cgroups, for the type checker alone.
from typing import Literal, TypedDict

class Hierarchy(TypedDict):
    """A tree of cgroup v1."""

    name: str  # its controllers, separated by commas
    dir: str  # the directory that it gets in the container
    host: str  # the container's cgroup, on the host
    root: str  # where it is mounted on the host
    options: str  # of mount(2)

class CgroupFacts(TypedDict):
    version: Literal[1, 2]
    path: str  # where v2 is mounted on the host
    controllers: list[Hierarchy]
    links: list[list[str]]  # name and content
