"""The record of a container, the content of ROOT/ID/state.json.

It is checked like any other input when it is read: a disk can damage it and a person can edit it, and what is in it is killed,
removed and written by the verbs.
"""

from pyoci import __version__
from pyoci.base import jsontext
from pyoci.base.errors import OciError
from pyoci.cgroups import paths, resctrl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.cgroups.records import GroupRecord
    from pyoci.cgroups.records import Record as CgroupRecord

FORMAT = 2  # 1, of pyoci 0.1: the hooks themselves in place of their names, no ids of the cgroups
_STATUS = ("creating", "created", "running")
_HOOKS = ("poststart", "poststop")
_LARGEST_PID = 1 << 22  # PID_MAX_LIMIT
_LARGEST = 1 << 64
_MOST_OPS = 1 << 16
_MOST_DIGITS = 20


class Record:
    """The content of state.json: what is known of a container that can't be asked of the kernel.

    format       FORMAT, or that of the older version which has written it
    id           the container's
    status       "creating", "created" or "running", as it was written last
    bundle       path of the bundle         rootfs       path of its root file system
    created      RFC 3339                   annotations  those of config.json
    creator      pid and start time of the runtime that makes it
    pid, start   the container's process and its start time; both 0 before there is one
    cgroup       Manager.record() of its cgroups, or None
    rdt          Group.record() of its resctrl group, or None
    hooks        which of "poststart" and "poststop" config.json has
    late         what each op after the wait for `start` is about (pyoci.init.start_answer)
    flags        "no_new_keyring", "rootless" (as create had them), "host_pid" (no pid namespace of its own), "host_mounts" (no
                 mount namespace)
    trace        path of the trace file of `create`, which `start` goes on with, or ""
    """

    __slots__ = (
        "format", "id", "status", "bundle", "rootfs", "created", "annotations", "creator", "pid", "start", "cgroup", "rdt",
        "hooks", "late", "flags", "trace",
    )  # fmt: skip

    def __init__(
        self, id: str, *, bundle: str = "", rootfs: str = "", creator: tuple[int, int] = (0, 0)
    ) -> None:
        self.format = FORMAT
        self.id = id
        self.status = "creating"
        self.bundle = bundle
        self.rootfs = rootfs
        self.created = ""
        self.annotations: dict[str, str] = {}
        self.creator = creator
        self.pid = 0
        self.start = 0
        self.cgroup: CgroupRecord | None = None
        self.rdt: GroupRecord | None = None
        self.hooks: list[str] = []
        self.late: list[list[int | str]] = []
        self.flags: dict[str, bool] = {}
        self.trace = ""

    def as_json(self) -> str:
        """The text of state.json."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return jsontext.dumps({**values, "creator": list(self.creator), "version": __version__})

    @classmethod
    def from_json(cls, raw: bytes, id: str) -> "Record":
        """The record in the content of the state.json of a container.

        Raises ValueError for what is none, OciError for one that a newer version has written.
        """
        values = jsontext.loads(raw)
        if type(values) is not dict or type(values.get("format")) is not int or values["format"] < 1:
            raise ValueError("no record")
        if values["format"] > FORMAT:
            raise _newer(id, values)
        found = cls(id)
        values.setdefault("trace", "")
        values.setdefault("rdt", None)
        if values["format"] == 1 and type(values.get("hooks")) is dict:
            values["hooks"] = list(values["hooks"])
        if values.get("id") != id:
            raise ValueError("the id of another container")
        if wrong := found._take(values):
            raise ValueError(wrong)
        return found

    def _take(self, values: "dict[str, object]") -> str:
        """Take over each value that may be one of its field; the name of one that is missing or may not, or ""."""
        wrong = ""
        for name, test in _TESTS.items():
            if name not in values or not test(values[name]):
                wrong = name
                continue
            setattr(self, name, values[name])
        pid, start = self.creator
        self.creator = (pid, start)
        return wrong

    @classmethod
    def recovered(cls, raw: bytes, id: str) -> "Record":
        """What a state.json still tells that is no record any more. The status stays "creating" where no process is known."""
        found = cls(id)
        try:
            values = jsontext.loads(raw)
        except ValueError:
            values = _process_in(raw) if f'"id":"{id}"'.encode() in raw else None
        if type(values) is dict and values.get("id", id) == id:
            found._take(values)
        if not (found.pid and found.start):
            found.pid = found.start = 0
        elif found.status == "creating":
            found.status = "running"
        return found


def _newer(id: str, values: "dict[str, object]") -> OciError:
    """The error for a record of a version to come."""
    writer = values.get("version")
    name = (
        writer
        if type(writer) is str and len(writer) < 40 and writer.isascii() and writer.isprintable()
        else ""
    )
    message = (
        f"the record of {id} was written by pyoci {name or 'of a newer version'} (format {values['format']}); "
        f"this is pyoci {__version__}, which reads format {FORMAT} and older"
    )
    return OciError("state-newer", message, obj=id, hint=f"use pyoci {name or 'of that version'} for it")


def _process_in(raw: bytes) -> "dict[str, object] | None":
    """Pid and start time in a text that was cut off or changed: as as_json() writes them, which no string in it can imitate."""
    after = raw.partition(b'"pid":')[2]
    pid, _, after = after.partition(b',"start":')
    start, end, _ = after.partition(b",")
    if not (
        pid.isdigit() and start.isdigit() and end and len(pid) < _MOST_DIGITS and len(start) < _MOST_DIGITS
    ):
        return None
    return {"pid": int(pid), "start": int(start)}


# -- what the fields may be --------------------------------------------------------------------------------------------------


def _text(value: object) -> bool:
    return type(value) is str and "\0" not in value


def _path(value: object) -> bool:
    return type(value) is str and "\0" not in value and value[:1] in ("", "/")


def _number(value: object, end: int = _LARGEST) -> bool:
    return type(value) is int and 0 <= value < end


def _map(value: object, test: "Callable[[object], bool]") -> bool:
    return type(value) is dict and all(map(test, value.values()))


def _annotations(value: object) -> bool:
    return _map(value, lambda item: type(item) is str)


def _flags(value: object) -> bool:
    return _map(value, lambda item: type(item) is bool)


def _creator(value: object) -> bool:
    return type(value) is list and len(value) == 2 and _pid(value[0]) and _number(value[1])


def _pid(value: object) -> bool:
    return _number(value, _LARGEST_PID + 1)


def _hooks(value: object) -> bool:
    return type(value) is list and all(name in _HOOKS for name in value)


def _late(value: object) -> bool:
    return type(value) is list and all(map(_op, value))


def _op(value: object) -> bool:
    if type(value) is not list or len(value) != 4 or not _number(value[0], _MOST_OPS):
        return False
    return type(value[1]) in (int, str) and type(value[2]) is str and type(value[3]) is str


def is_cgroup_record(value: object) -> bool:
    """Whether a value may be what Manager.record() returns, or None for a container without cgroups."""
    if value is None:
        return True
    if type(value) is not dict:
        return False
    if value.get("manager") != "systemd":
        return _tree(value)
    inner = value.get("inner")
    return (
        _unit(value.get("unit"))
        and type(value.get("user")) is bool
        and _invocation(value.get("invocation", ""))
        and type(inner) is dict
        and _tree(inner)
    )


def _unit(name: object) -> bool:
    return type(name) is str and 0 < len(name) < 256 and "/" not in name and name.isprintable()


def _invocation(text: object) -> bool:
    return text == "" or (
        type(text) is str and len(text) == 32 and all(c in "0123456789abcdef" for c in text)
    )


def _tree(value: "dict[str, object]") -> bool:
    ids, kept = value.get("ids", {}), value.get("kept", [])
    if type(value.get("rootless")) is not bool or type(ids) is not dict or type(kept) is not list:
        return False
    if (
        not all(map(_is_cgroup, ids))
        or not all(map(_identity, ids.values()))
        or not all(map(_is_cgroup, kept))
    ):
        return False
    if value.get("manager") == "v2":
        return value.get("path") == "" or _is_cgroup(value.get("path"))
    return value.get("manager") == "v1" and _map(value.get("paths"), _is_cgroup)


def _is_group_record(value: object) -> bool:
    """Whether a value may be what Group.record() returns, or None without linux.intelRdt."""
    if value is None:
        return True
    if type(value) is not dict:
        return False
    kept, ids = value.get("kept"), value.get("ids")
    if type(kept) is not list or type(ids) is not dict:
        return False
    listed = [value.get("group"), *kept, *ids]
    monitor = value.get("monitor")
    return all(map(_is_group, listed if monitor == "" else [*listed, monitor])) and all(
        map(_identity, ids.values())
    )


def _is_group(path: object) -> bool:
    """Whether a path is a normal one in the resctrl file system: its root, a group or a monitoring group."""
    if type(path) is not str or "\0" in path or not (path + "/").startswith(resctrl.ROOT + "/"):
        return False
    names = path[len(resctrl.ROOT) + 1 :].split("/")
    return path == resctrl.ROOT or not any(name in ("", ".", "..") for name in names)


def _is_cgroup(path: object) -> bool:
    """Whether a path is a normal one of a cgroup, below the mount point and below the root of its hierarchy."""
    if type(path) is not str or not path.startswith(paths.MOUNT + "/") or "\0" in path:
        return False
    names = path[len(paths.MOUNT) + 1 :].split("/")
    return not any(name in ("", ".", "..") for name in names)


def _identity(value: object) -> bool:
    return type(value) is list and len(value) == 2 and _number(value[0]) and _number(value[1])


_TESTS: "dict[str, Callable[[object], bool]]" = {
    "format": _number,
    "id": _text,
    "status": lambda value: value in _STATUS,
    "bundle": _path,
    "rootfs": _path,
    "created": _text,
    "annotations": _annotations,
    "creator": _creator,
    "pid": _pid,
    "start": _number,
    "cgroup": is_cgroup_record,
    "rdt": _is_group_record,
    "hooks": _hooks,
    "late": _late,
    "flags": _flags,
    "trace": _path,
}
