"""The state store: a directory for each container below ROOT, locked while something changes it.

    ROOT/ID/state.json    the record, replaced atomically
    ROOT/ID/config.json   the configuration as it was at create
    ROOT/ID/cgroup.json   its cgroups as they were made, for `delete` after a `create` that was killed, or without a record
    ROOT/ID/mount.json    of a container without a mount namespace: the mount that is its root
    ROOT/ID/start, failure   fifos that the waiting init holds open until its program runs

What the kernel knows is not written down: whether the process lives (by pid and start time), whether it is paused (its
cgroup) and whether it still waits (the start fifo has a reader) is asked each time.
"""

import errno
import fcntl
import posix
import stat

from pyoci.base import files, jsontext, proc_stat
from pyoci.base.errors import OciError, errno_text, from_os_error, unreadable_proc
from pyoci.lifecycle import permissions
from pyoci.lifecycle.record import Record, is_cgroup_record
from pyoci.spec import fast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cgroups.base import Manager
    from pyoci.host.root_mount import Record as RootMountRecord
    from pyoci.spec.spec_types import Spec

_ID_LENGTH = 1024
_ID_SIGNS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-."
_LARGEST = 64 << 20
_AFTER_THE_RECORD = ("config.json", "cgroup.json", "start")  # what create makes once the record is there


class Entry:
    """One container in the store: its directory, open and perhaps locked, and its record."""

    def __init__(self, root: str, id: str, directory: int, record: Record) -> None:
        self.root = root
        self.id = id
        self.directory = directory
        self.record = record
        self.spec: Spec | None = None  # where it is known without being read from here
        self._manager: Manager | None = None

    def save(self, *, sync: bool = False) -> None:
        """Write the record. Raises OciError."""
        try:
            files.replace("state.json", self.record.as_json().encode(), dir_fd=self.directory, sync=sync)
        except OSError as error:
            raise unwritable(f"{self.root}/{self.id}", error) from None

    def save_cgroup(self) -> None:
        """Write down the cgroups that have just been made. Raises OciError.

        From here on `delete` may kill whoever is in them: their devices and inodes prove that they are the container's.
        """
        try:
            files.create("cgroup.json", jsontext.dumps(self.record.cgroup).encode(), dir_fd=self.directory)
        except OSError as error:
            raise unwritable(f"{self.root}/{self.id}", error) from None

    def load_cgroup(self) -> None:
        """Complete the record of a create that was killed, or one that can't be read, by what save_cgroup() wrote."""
        try:
            found = jsontext.loads(read_regular("cgroup.json", self.directory))
        except (OSError, ValueError, jsontext.ManyMembers):
            return
        if found is not None and is_cgroup_record(found):
            self.record.cgroup = found

    def save_root_mount(self, record: "RootMountRecord") -> None:
        """Write down the mount that is about to become the root of a container without a mount namespace. Raises OciError."""
        try:
            files.create("mount.json", jsontext.dumps(record).encode(), dir_fd=self.directory)
        except OSError as error:
            raise unwritable(f"{self.root}/{self.id}", error) from None

    def root_mount(self) -> "RootMountRecord | None":
        """What save_root_mount() wrote; None where it wrote nothing, or nothing that it could have written."""
        if not self.record.flags.get("host_mounts"):
            return None
        from pyoci.host import root_mount

        try:
            found: RootMountRecord = jsontext.loads(read_regular("mount.json", self.directory))
        except (OSError, ValueError, jsontext.ManyMembers):
            return None
        return found if root_mount.is_record(found) else None

    def config(self) -> "Spec":
        """The configuration as it was at create. Raises OciError."""
        if self.spec is not None:
            return self.spec
        reason = "it is not a configuration that pyoci runs"
        spec: Spec | None = None
        try:
            raw = read_regular("config.json", self.directory)
            spec = fast.load(raw)
        except OSError as error:
            reason = errno_text(error.errno or 0)
        if spec is None:
            raise OciError(
                "state-damaged",
                f"the saved configuration of {self.id} can't be read: {reason}",
                obj=f"{self.root}/{self.id}/config.json",
                hint=f"`pyoci delete --force {self.id}` removes it",
            )
        if b"null" in raw:  # it is kept as it was given, and a null counts as nothing
            fast.drop_nulls(spec)
        return spec

    def read_hooks(self) -> None:
        """Read the configuration that the hooks will want, before anything is done. What is wrong with it shows there.

        Raises ManyMembers: no command can begin anew in another interpreter when it has done a part.
        """
        if self.record.hooks:
            try:
                self.spec = self.config()
            except OciError:
                return

    def ended_early(self) -> bool:
        """Whether create was killed when it had made nothing but the record."""
        creating = self.record.status == "creating" and self.spec is None
        return creating and not posix.access("config.json", posix.F_OK, dir_fd=self.directory)

    def close(self) -> None:
        """Give up the lock."""
        if self.directory >= 0:
            files.close(self.directory)
            self.directory = -1

    def remove(self) -> None:
        """Delete the entry. What is gone already is no failure. Raises OciError."""
        try:
            for name in posix.listdir(self.directory):
                try:
                    posix.unlink(name, dir_fd=self.directory)
                except IsADirectoryError:
                    from pyoci.host import notify

                    if name != notify.DIRECTORY:
                        raise
                    notify.remove_directory(self.directory)
            posix.rmdir(f"{self.root}/{self.id}")
        except FileNotFoundError:
            pass
        except OSError as error:
            path = f"{self.root}/{self.id}"
            hint = "it holds a file that is not pyoci's: remove the directory by hand"
            strange = error.errno in (errno.EISDIR, errno.ENOTEMPTY, errno.EPERM)
            raise from_os_error(
                "state-remove",
                f"cannot remove the state in {path}",
                error,
                obj=path,
                hint=hint if strange else "",
            ) from None
        self.close()

    def alive(self) -> bool:
        """Whether the container's first process runs."""
        return bool(self.record.pid) and start_time(self.record.pid) == self.record.start

    def open_process(self) -> int:
        """A pidfd of the container's first process, or -1 when it is gone: the pid alone may be another process by now."""
        try:
            pidfd = posix.pidfd_open(self.record.pid)
        except (OSError, ValueError):
            return -1
        if self.alive():
            return pidfd
        files.close(pidfd)
        return -1

    def status(self) -> str:
        """creating, created, running or stopped (runtime.md, State); or paused, as all runtimes have it."""
        if self.record.status == "creating":
            pid, start = self.record.creator
            return "creating" if start_time(pid) == start else "stopped"
        if not self.alive():
            return "stopped"
        if self.paused():
            return "paused"
        return "created" if self.record.status == "created" and self.waits() else "running"

    def paused(self) -> bool:
        """Whether the kernel keeps the container's processes stopped."""
        if not self.record.cgroup:
            return False
        from pyoci.cgroups import freezer

        return freezer.frozen(self.record.cgroup)

    def manager(self) -> "Manager | None":
        """The manager of its cgroups, None for a container without any."""
        if self._manager is None:
            if self.record.status == "creating":
                self.load_cgroup()
            if not self.record.cgroup:
                return None
            from pyoci import cgroups

            self._manager = cgroups.from_record(self.record.cgroup, f"{self.root}/{self.id}")
            if self.record.format == 1 and self.alive():
                self._manager.identify_by(self.record.pid)
        return self._manager

    def memory(self) -> tuple[int, int, int]:
        """What the container's cgroup knows of a lack of memory (Manager.oom)."""
        manager = self.manager()
        return manager.oom() if manager else (0, 0, 0)

    def waits(self) -> bool:
        """Whether the init still reads the start fifo."""
        try:
            files.close(open_fifo("start", posix.O_WRONLY, self.directory))
        except OSError:
            return False
        return True


def open_fifo(name: str, flag: int, directory: int) -> int:
    """A fifo of an entry, opened without waiting for its other end. Raises OSError, ENXIO for what is no fifo."""
    flags = flag | posix.O_NONBLOCK | posix.O_CLOEXEC | posix.O_NOFOLLOW
    fd = posix.open(name, flags, dir_fd=directory)
    if stat.S_ISFIFO(posix.fstat(fd).st_mode):
        return fd
    files.close(fd)
    raise OSError(errno.ENXIO, name)


def read_regular(name: str, directory: int) -> bytes:
    """The content of a file of an entry. Raises OSError, EINVAL for what is no regular file and is not opened to wait for it."""
    flags = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC | posix.O_NOFOLLOW
    fd = posix.open(name, flags, dir_fd=directory)
    try:
        if not stat.S_ISREG(posix.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, name)
        return files.read_fd(fd, _LARGEST)
    finally:
        files.close(fd)


def check_id(id: str) -> None:
    """Raise OciError unless an id is one that all engines and file systems can live with (runc's rule)."""
    if not id or len(id) > _ID_LENGTH or id in (".", "..") or any(sign not in _ID_SIGNS for sign in id):
        hint = "use letters, digits, _ + - and . only, at most 1024 characters"
        raise OciError("invalid-id", f'invalid container ID format: "{id}"', obj=id, hint=hint)


def create(context: "Context", root: str, id: str) -> Entry:
    """A new, locked, empty entry. Raises OciError where the id is taken, or others may write to ROOT."""
    check_id(id)
    permissions.check_root(context, root, acts=True)
    path = f"{root}/{id}"
    try:
        while (directory := _make(path)) < 0:
            continue
    except FileExistsError:
        hint = f"`pyoci delete {id}` removes it"
        raise OciError(
            "id-taken", f"container with given ID already exists: {id}", obj=id, hint=hint
        ) from None
    except OSError as error:
        raise unwritable(path, error) from None
    return Entry(root, id, directory, Record(id))


def _make(path: str) -> int:
    """Make the directory of an entry and lock it; -1 when a `delete --force` was quicker. Raises OSError."""
    posix.mkdir(path, 0o711)
    try:
        directory = posix.open(path, files.DIRECTORY)
    except FileNotFoundError:
        return -1
    fcntl.flock(directory, fcntl.LOCK_EX)
    if posix.fstat(directory).st_nlink:
        return directory
    files.close(directory)
    return -1


def open(
    context: "Context", root: str, id: str, *, lock: bool, damaged: bool = False, acts: bool = True
) -> Entry:
    """The entry of a container, locked until it is closed when asked. Raises OciError where there is none.

    `damaged`: a record that can't be read is put up with: the entry's own is then an empty one.
    `acts`: the command does more than to read, so it is refused where others may write to ROOT or to the entry.
    """
    check_id(id)
    permissions.check_root(context, root, acts=acts)
    try:
        directory = posix.open(f"{root}/{id}", files.DIRECTORY)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise unknown(root, id) from None
        raise _unreadable(f"{root}/{id}", error) from None
    try:
        permissions.check_entry(context, f"{root}/{id}", directory, acts=acts)
        if lock:
            try:
                fcntl.flock(directory, fcntl.LOCK_EX)
            except OSError as error:
                raise _unreadable(f"{root}/{id}", error) from None
        try:
            record = _read_record(root, id, directory)
        except OciError as error:
            if not damaged or error.code != "state-damaged":
                raise
            record = Record(id)
        return Entry(root, id, directory, record)
    except BaseException:
        files.close(directory)
        raise


def _unreadable(path: str, error: OSError) -> OciError:
    hint = "it belongs to another user" if error.errno in (errno.EACCES, errno.EPERM) else ""
    return from_os_error("state-read", f"cannot read the state in {path}", error, obj=path, hint=hint)


def unwritable(path: str, error: OSError) -> OciError:
    """The error for a state directory that can't be made or written."""
    places = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOENT, errno.ENOTDIR)
    hint = "choose another directory with --root" if error.errno in places else ""
    return from_os_error("state-write", f"cannot write the state in {path}", error, obj=path, hint=hint)


def unknown(root: str, id: str) -> OciError:
    """The error for an id that is not there; engines look for its words."""
    return OciError(
        "not-found", f"container does not exist: {id}", obj=id, hint=f"`pyoci list` shows those below {root}"
    )


def _read_record(root: str, id: str, directory: int) -> Record:
    try:
        raw = read_regular("state.json", directory)
    except FileNotFoundError:
        if posix.fstat(directory).st_nlink == 0:
            raise unknown(root, id) from None
        if not any(posix.access(name, posix.F_OK, dir_fd=directory) for name in _AFTER_THE_RECORD):
            return Record(id)  # create ended before it could write one: nothing else was made then
        raw = b""
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ELOOP, errno.ENXIO):  # no regular file
            raise _unreadable(f"{root}/{id}/state.json", error) from None
        raw = b""
    try:
        return Record.from_json(raw, id)
    except ValueError:
        raise OciError(
            "state-damaged",
            f"the state of {id} is damaged: its record can't be read",
            obj=f"{root}/{id}/state.json",
            hint=f"`pyoci delete --force {id}` removes it",
        ) from None


def no_cgroup(id: str, verb: str) -> OciError:
    """The error for a command that works on the cgroup of a container that has none."""
    hint = "it was created with --cgroup-manager disabled, or by a user who may not create cgroups"
    return OciError("no-cgroup", f"cannot {verb} a container without a cgroup", obj=id, hint=hint)


def start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot (proc_pid_stat(5), field 22); -1 for one that is gone or a zombie.

    Raises OciError where the kernel does not say.
    """
    path = f"/proc/{pid}/stat"
    try:
        found = proc_stat.fields(pid)
    except (FileNotFoundError, ProcessLookupError) as error:
        if not pid or (posix.access("/proc/self/stat", posix.F_OK) and not _exists(pid)):
            return -1
        raise unreadable_proc(path, error) from None
    except OSError as error:
        raise unreadable_proc(path, error) from None
    return -1 if found[proc_stat.STATE] in proc_stat.DEAD else int(found[proc_stat.START_TIME])


def _exists(pid: int) -> bool:
    """Whether there is a process that procfs does not show: mounted with hidepid, it hides those of other users."""
    try:
        posix.kill(pid, 0)
        return True
    except OSError as error:
        return error.errno == errno.EPERM


def ids(root: str) -> list[str]:
    """The names of all entries below ROOT, sorted, those that a killed create left half made included.

    Raises OciError where ROOT is no directory or may not be read.
    """
    try:
        return sorted(posix.listdir(root))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(root, error) from None
