"""`delete --force` of a container whose record can't be read: what else tells what is its own.

    state.json     whatever in it is right by itself; pid and start time together make a process certain
    start, failure the waiting init, and no one else, has both fifos open
    cgroup.json    device and inode make its cgroups certain, and so the processes in them
    mount.json     the ids of the mount that is its root, where it has no mount namespace
    config.json    where its cgroups should be: these are removed if they are empty, or in a systemd unit that says it is ours

What none of it proves to be the container's is left alone.
"""

import posix

from pyoci.base.errors import OciError
from pyoci.lifecycle import facts, store
from pyoci.lifecycle.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.spec.spec_types import Spec


class Salvaged:
    """The entry of a container without a record.

    is_certain  what is known would show a process of the container that lives
    """

    def __init__(self, context: "Context", root: str, id: str) -> None:
        """Raises OciError where the entry is gone, or others may write to it."""
        self.entry = store.open(context, root, id, lock=True, damaged=True)
        try:
            spec = self._config(context)
            self._program = " ".join(spec["process"].get("args") or ()) if spec.get("process") else ""
            self._recover(context, spec)
        except BaseException:
            self.entry.close()
            raise

    def _config(self, context: "Context") -> "Spec":
        try:
            return self.entry.config()
        except OciError as error:
            context.log.warning(error.text(), code=error.code)
            return {"ociVersion": ""}

    def _recover(self, context: "Context", spec: "Spec") -> None:
        entry = self.entry
        try:
            raw = store.read_regular("state.json", entry.directory)
        except OSError:
            raw = b""
        record = entry.record = Record.recovered(raw, entry.id)
        if not record.pid:
            record.pid, record.start = _waiting_init(entry)
            record.status = "created" if record.pid else "creating"
        entry.load_cgroup()
        self.is_certain = bool(record.pid or record.cgroup)
        linux = spec.get("linux") or {}
        if not record.cgroup:
            self._expect_cgroup(context, spec)
        if not record.rdt and linux.get("intelRdt"):
            from pyoci.cgroups import resctrl

            record.rdt = resctrl.salvaged(linux["intelRdt"], entry.id)
        if (spec.get("hooks") or {}).get("poststop"):
            record.hooks = ["poststop"]
        # it may be so, and who is in a cgroup that is certain is the container's; mount.json is there, or it is not
        record.flags["host_pid"] = record.flags["host_mounts"] = True
        if record.pid and (manager := entry.manager()):
            manager.identify_by(record.pid)

    def _expect_cgroup(self, context: "Context", spec: "Spec") -> None:
        """The cgroups that the configuration names, if they are there: nothing proves yet that they are the container's."""
        from pyoci import cgroups

        entry = self.entry
        systemd = ":" in (spec.get("linux") or {}).get("cgroupsPath", "")
        rootless = facts.lacks_cgroup_rights(entry.record.flags.get("rootless"), systemd=systemd)
        try:
            where = f"{entry.root}/{entry.id}"
            manager = cgroups.manager(spec, entry.id, entry=where, systemd=systemd, rootless=rootless)
        except OciError as error:
            context.log.warning(error.text(), code=error.code)
            return
        if manager.exists():
            manager.identify_by_entry()
            entry.record.cgroup = manager.record()
            self.is_certain = True  # `delete` fails while there are processes in it

    def doubt(self) -> OciError:
        """The error for a container that is removed although its process may still run."""
        program = f"`{self._program}`" if self._program else "its program"
        message = (
            f"the state of {self.entry.id} is removed, but nothing told which process is the container's"
        )
        hint = f"if {program} still runs, `ps -e -o pid,lstart,args` shows it: kill it by hand"
        return OciError("process-unknown", message, obj=self.entry.id, hint=hint)


def _waiting_init(entry: store.Entry) -> tuple[int, int]:
    """Pid and start time of the process that waits for `start` of this entry, 0 and 0 where none does.

    Raises OciError for one that procfs does not show.
    """
    if not entry.waits():
        return 0, 0
    fifos = set()
    for name in ("start", "failure"):
        try:
            found = posix.stat(name, dir_fd=entry.directory, follow_symlinks=False)
        except OSError:
            return 0, 0
        fifos.add((found.st_dev, found.st_ino))
    for name in posix.listdir("/proc"):
        if name.isdigit() and name != str(posix.getpid()):
            start = _start_time(int(name))
            if start > 0 and fifos <= _open_files(name):
                return int(name), start
    message = f"a process waits for the start of {entry.id}, but /proc does not show it"
    raise OciError("state-damaged", message, obj=entry.id, hint="run the command as root of the host")


def _start_time(pid: int) -> int:
    try:
        return store.start_time(pid)
    except OciError:
        return -1


def _open_files(pid: str) -> set[tuple[int, int]]:
    """Device and inode of what a process has open, as far as we may see it."""
    found: set[tuple[int, int]] = set()
    directory = f"/proc/{pid}/fd"
    try:
        for name in posix.listdir(directory):
            facts_ = posix.stat(f"{directory}/{name}")
            found.add((facts_.st_dev, facts_.st_ino))
    except OSError:
        pass
    return found
