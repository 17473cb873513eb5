# What state.json keeps of a container's cgroups (`Manager.record`), for the type checker alone.
from typing import Literal, NotRequired, TypeAlias, TypedDict

class TreeRecord(TypedDict):
    rootless: bool
    kept: NotRequired[list[str]]  # directories that were there before the container
    ids: NotRequired[dict[str, list[int]]]  # directory -> its device and inode, once it is made

class V1Record(TreeRecord):
    manager: Literal["v1"]
    paths: dict[str, str]  # controller -> directory

class V2Record(TreeRecord):
    manager: Literal["v2"]
    path: str

class SystemdRecord(TypedDict):
    manager: Literal["systemd"]
    unit: str
    user: bool  # of the user's own systemd
    invocation: NotRequired[str]  # the unit's InvocationID, 32 hexadecimal digits, once it is started
    inner: V1Record | V2Record

Record: TypeAlias = V1Record | V2Record | SystemdRecord

class GroupRecord(TypedDict):
    """What it keeps of a container's resctrl group (`resctrl.Group.record`)."""

    group: str
    monitor: str  # "" without
    kept: list[str]  # of these two those that were there before the container
    ids: dict[str, list[int]]  # directory -> its device and inode, once it is made
