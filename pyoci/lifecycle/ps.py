"""ps: which processes a container has, as the host numbers them."""

import posix

from pyoci.base import proc_stat
from pyoci.base.errors import OciError, from_os_error
from pyoci.lifecycle import store
from pyoci.spec import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.base.context import Context

_USUAL = ("-ef",)


def pids(context: "Context", root: str, id: str) -> list[int]:
    """The processes of a container, sorted; none of one that has stopped. Raises OciError."""
    entry = store.open(context, root, id, lock=False, acts=False)
    try:
        manager = entry.manager()
        if manager is not None and manager.main_path():
            return _of_cgroup(manager.main_path(), manager.pids)
        return _of_namespace(entry.record.pid, id) if entry.alive() else []
    finally:
        entry.close()


def _of_cgroup(path: str, read: "Callable[[], list[int]]") -> list[int]:
    try:
        found = read()
    except FileNotFoundError:
        return []  # removed, so no process is in it
    except OSError as error:
        raise from_os_error("cgroup-read", f"processes of cgroup {path}", error, obj=path) from None
    return sorted(set(found) - {0})  # 0 stands for those that this pid namespace does not see


def _of_namespace(first: int, id: str) -> list[int]:
    """Without a cgroup: those in the pid namespace of the first process, and what descends from them."""
    home = _namespace(first)
    if home < 0 or home == _namespace(posix.getpid()):
        message = (
            "cannot find the container's processes: it has neither a cgroup nor a pid namespace of its own"
        )
        raise OciError("no-cgroup", message, obj=id)
    running = [int(name) for name in posix.listdir("/proc") if name.isdecimal()]
    found = {pid for pid in running if _namespace(pid) == home}
    parents = {pid: _parent(pid) for pid in running}
    more = found
    while more:
        more = {pid for pid in running if parents[pid] in more} - found
        found |= more
    return sorted(found)


def _namespace(pid: int) -> int:
    """The number of a process's pid namespace, -1 for one that is gone or out of reach."""
    try:
        return posix.stat(f"/proc/{pid}/ns/pid").st_ino
    except OSError:
        return -1


def _parent(pid: int) -> int:
    try:
        return int(proc_stat.fields(pid)[proc_stat.PARENT])
    except OSError:
        return -1


def table(found: list[int], arguments: list[str]) -> str:
    """What the host's ps(1), called with these arguments or with -ef, says of the processes found.

    Needs the standard library. Raises OciError.
    """
    output = _host_ps(arguments or list(_USUAL))
    lines = output.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        hint = "let ps print the column PID, for example with -o pid,comm"
        raise OciError("ps", "couldn't find PID field in ps output", hint=hint)
    column = titles.index("PID")
    wanted = {str(pid) for pid in found}
    kept = [
        line for line in lines[1:] if line.split()[column : column + 1] and line.split()[column] in wanted
    ]
    return "\n".join([lines[0], *kept]) + "\n"


def _host_ps(arguments: list[str]) -> str:
    import os
    import shutil
    import subprocess

    program = shutil.which("ps", path=os.environ.get("PATH") or defaults.PATH)
    if program is None:
        hint = "install ps (procps), or use --format json"
        raise OciError("ps", 'exec: "ps": executable file not found in $PATH', obj="ps", hint=hint)
    done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    output = done.stdout.decode("utf-8", "surrogateescape")
    if done.returncode:
        said = (done.stderr.decode("utf-8", "surrogateescape") or output).strip().partition("\n")[0]
        raise OciError("ps", f"{program} ended with exit status {done.returncode}: {said}", obj=program)
    return output
