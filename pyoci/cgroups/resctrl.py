"""linux.intelRdt: the container's class of service in the resctrl file system (config-linux.md, Intel RDT; resctrl.rst).

    /sys/fs/resctrl/CLOS                          a group with its `schemata` (shares of caches, of memory bandwidth) and `tasks`
    /sys/fs/resctrl/CLOS/mon_groups/ID            the container's own monitoring group in it, for enableMonitoring

CLOS is closID, else the container's id; "/" is the root group. A group that is there already is not ours: it must say what the
configuration says, gets the container's processes, and stays.
"""

import errno
import posix

from pyoci.base import files, proc_stat
from pyoci.base.errors import OciError, from_os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroups.records import GroupRecord
    from pyoci.spec.spec_types import IntelRdt

ROOT = "/sys/fs/resctrl"
_POINTER = "/linux/intelRdt"


def path_of(wanted: "IntelRdt", id: str) -> str:
    """The directory of a container's group."""
    clos = wanted.get("closID") or id
    return ROOT if clos == "/" else f"{ROOT}/{clos}"


def salvaged(wanted: "IntelRdt", id: str) -> "GroupRecord":
    """What the configuration tells where the record is lost: what bears the container's own name was made for it."""
    path = path_of(wanted, id)
    kept = [path] if wanted.get("closID") else []
    return {"group": path, "monitor": f"{path}/mon_groups/{id}", "kept": kept, "ids": {}}


class Group:
    """What one create makes in resctrl.

    path     of the group       monitor  of the monitoring group in it, or ""
    lines    of its schemata    kept     of these two paths those that were there before
    ids      device and inode of those that were made
    """

    def __init__(self, wanted: "IntelRdt", id: str) -> None:
        """Raises OciError for what this kernel, or a group that is there already, does not have."""
        self.path = path_of(wanted, id)
        self.monitor = f"{self.path}/mon_groups/{id}" if wanted.get("enableMonitoring") else ""
        self.lines = _lines(wanted)
        self.ids: dict[str, list[int]] = {}
        _check_support(wanted)
        self.kept = [path for path in self._paths() if posix.access(path, posix.F_OK)]
        if self.path in self.kept:
            self._compare()
        elif wanted.get("closID") and not self.lines:
            message = f"Intel RDT: the class of service {wanted['closID']} does not exist"
            hint = (
                "make its group beforehand, or say what is to be in it: schemata, l3CacheSchema, memBwSchema"
            )
            raise OciError("intel-rdt", message, pointer=f"{_POINTER}/closID", obj=self.path, hint=hint)

    def _paths(self) -> list[str]:
        return [self.path, self.monitor] if self.monitor else [self.path]

    def record(self) -> "GroupRecord":
        """What `delete` needs."""
        return {"group": self.path, "monitor": self.monitor, "kept": self.kept, "ids": self.ids}

    def outline(self) -> list[tuple[str, str, str]]:
        """What create() and add() will do: a word, the path, what is written."""
        found = [("mkdir", path, "") for path in self._paths() if path not in self.kept]
        if self.lines and self.path not in self.kept:
            found.insert(1, ("write", f"{self.path}/schemata", ", ".join(self.lines)))
        return found + [("write", f"{path}/tasks", "PID") for path in self._paths()]

    def create(self) -> None:
        """Make what is missing. Raises OciError."""
        for path in self._paths():
            if path in self.kept:
                continue
            try:
                make_directory(path)
            except FileExistsError:  # since we looked
                self.kept.append(path)
                if path == self.path:
                    self._compare()
                continue
            except OSError as error:
                raise _not_made(path, error) from None
            self.ids[path] = identity(path) or []
            if path == self.path and self.lines:
                write_schemata(path, self.lines, _POINTER)

    def _compare(self) -> None:
        """A group that is there already must say what we are to write into it. Raises OciError."""
        if not self.lines:
            return
        path = f"{self.path}/schemata"
        try:
            there = _parsed(files.read(path).decode().splitlines())
        except OSError as error:
            message = f"Intel RDT: cannot read {path}"
            raise from_os_error("intel-rdt", message, error, pointer=_POINTER, obj=path) from None
        for key, value in _parsed(self.lines).items():
            if there.get(key) != value:
                message = (
                    f"Intel RDT: {path} exists and says {there.get(key) or 'nothing'} for {key}, not {value}"
                )
                hint = "use another closID, or what its group has"
                raise OciError("intel-rdt", message, pointer=f"{_POINTER}/closID", obj=path, hint=hint)

    def add(self, pid: int) -> None:
        """Put a process into the group. Raises OciError."""
        add(self.record(), pid)


def make_directory(path: str) -> None:
    """Make a group. Raises OSError."""
    posix.mkdir(path, 0o755)


def remove_directory(path: str) -> None:
    """Remove a group; the kernel moves the processes in it to the root group. Raises OSError."""
    posix.rmdir(path)


def identity(path: str) -> list[int] | None:
    """Device and inode of a group, None where there is none. Raises OSError."""
    try:
        facts = posix.lstat(path)
    except FileNotFoundError:
        return None
    return [facts.st_dev, facts.st_ino]


def add(record: "GroupRecord", pid: int) -> None:
    """Put a process into the groups of a container. Raises OciError, ENOENT where one is gone."""
    for path in (record["group"], record["monitor"]):
        if not path:
            continue
        try:
            files.write(f"{path}/tasks", str(pid).encode())
        except OSError as error:
            message = f"Intel RDT: cannot put process {pid} into {path}"
            raise from_os_error("intel-rdt", message, error, pointer=_POINTER, obj=path) from None


def destroy(record: "GroupRecord") -> list[str]:
    """Remove what the create of a container has made, by device and inode. Returns what was left alone, and why.

    A create that was killed has no ids of what it had made last. What was not there before is then removed as well, unless it has
    processes, which are not that container's: its own are dead. So is a group that others have joined since. Raises OciError.
    """
    left = []
    for path in (record["monitor"], record["group"]):
        if not path or path in record["kept"]:
            continue
        try:
            found = identity(path)
            if found is None:
                continue
            if record["ids"].get(path, found) != found:
                left.append(f"{path} is not the one that was made for the container")
            elif _in_use(path):
                left.append(f"{path} has processes of others")
            else:
                remove_directory(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise from_os_error("intel-rdt", f"Intel RDT: cannot remove {path}", error, obj=path) from None
    return left


def _in_use(path: str) -> bool:
    """Whether a process of a group lives. The container's own may still be there, dead, until its parent asks how it ended."""
    for word in files.read(f"{path}/tasks").split():
        try:
            if proc_stat.fields(int(word))[proc_stat.STATE] not in proc_stat.DEAD:
                return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


def write_schemata(path: str, lines: list[str], pointer: str = "") -> None:
    """Write lines into a group's schemata, all in one as a half is nobody's wish. Raises OciError with the kernel's own words."""
    try:
        files.write(f"{path}/schemata", "".join([f"{line}\n" for line in lines]).encode())
    except OSError as error:
        hint = _last_status()
        if error.errno == errno.ENOENT:
            hint = "the container has no resctrl group of its own"
        message = f'Intel RDT: cannot write "{", ".join(lines)}" to {path}/schemata'
        raise from_os_error("intel-rdt", message, error, pointer=pointer, obj=path, hint=hint) from None


def has(resource: str) -> bool:
    """Whether the kernel shares out a resource here: L3, MB, L3_MON. With code and data apart L3 is two."""
    names = ("L3", "L3CODE") if resource == "L3" else (resource,)
    return any(posix.access(f"{ROOT}/info/{name}", posix.F_OK) for name in names)


def not_enabled(what: str, pointer: str, obj: str = "") -> OciError:
    """The error for a part of Intel RDT that is not there."""
    hint = f"the CPU or the kernel does not support it, or resctrl is not mounted on {ROOT}"
    return OciError("intel-rdt", f"Intel RDT/{what} is not enabled", pointer=pointer, obj=obj, hint=hint)


def _check_support(wanted: "IntelRdt") -> None:
    if not posix.access(f"{ROOT}/schemata", posix.F_OK):
        raise _not_there()
    if wanted.get("l3CacheSchema") and not has("L3"):
        raise not_enabled("CAT", f"{_POINTER}/l3CacheSchema")
    if wanted.get("memBwSchema") and not has("MB"):
        raise not_enabled("MBA", f"{_POINTER}/memBwSchema")
    if wanted.get("enableMonitoring") and not has("L3_MON"):
        raise not_enabled("CMT and MBM", f"{_POINTER}/enableMonitoring")


def _not_there() -> OciError:
    hint = "mount it: mount -t resctrl resctrl /sys/fs/resctrl"
    message = f"Intel RDT is not available: resctrl is not mounted on {ROOT}"
    if b"\tresctrl\n" not in files.read("/proc/filesystems"):
        message = "Intel RDT is not available: this kernel has no resctrl"
        hint = "it needs CONFIG_X86_CPU_RESCTRL and a CPU with it; else omit linux.intelRdt"
    return OciError("intel-rdt", message, pointer=_POINTER, obj=ROOT, hint=hint)


def _not_made(path: str, error: OSError) -> OciError:
    hint = _last_status()
    if error.errno == errno.ENOSPC:
        hint = "all classes of service, or monitoring groups, of the CPU are in use: share one by closID"
    elif error.errno in (errno.EACCES, errno.EPERM):
        hint = "only the host's root may make groups"
    message = f"Intel RDT: cannot make {path}"
    return from_os_error("intel-rdt", message, error, pointer=_POINTER, obj=path, hint=hint)


def _last_status() -> str:
    """What the kernel said of the last call that failed, or ""."""
    try:
        text = files.read(f"{ROOT}/info/last_cmd_status").decode("utf-8", "replace").strip()
    except OSError:
        return ""
    return "" if text == "ok" else text


def _lines(wanted: "IntelRdt") -> list[str]:
    """What goes into schemata: lines of l3CacheSchema for memory bandwidth give way to memBwSchema, as the specification says."""
    found = [line for text in wanted.get("schemata", ()) for line in text.splitlines()]
    bandwidth = wanted.get("memBwSchema", "")
    for line in wanted.get("l3CacheSchema", "").splitlines():
        if not (bandwidth and line.lstrip().startswith("MB:")):
            found.append(line)
    found.append(bandwidth)
    return [line for line in found if line.strip()]


def _parsed(lines: list[str]) -> dict[str, str]:
    """Resource and domain -> value of lines such as "L3:0=ff;1=0f". The kernel pads and writes numbers in its own way."""
    found = {}
    for line in lines:
        resource, _, rest = line.partition(":")
        for item in rest.split(";"):
            domain, _, value = item.partition("=")
            if value.strip():
                found[f"{resource.strip()}:{domain.strip()}"] = value.strip().lower().lstrip("0") or "0"
    return found
