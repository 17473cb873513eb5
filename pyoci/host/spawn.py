"""clone(2): a process of ours in new namespaces, that has executed the static init and waits for plans (csrc/shim/spawn.c)."""

import errno
import posix

from pyoci._shim import ffi, lib
from pyoci.base import files, signal_numbers
from pyoci.base.errors import OciError
from pyoci.spec import namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci._shim import Spawn


class Child:
    """A process that spawn() has made.

    pid, pidfd      the process; 0 and -1 before there is one. pidfd stays open until close()
    sync            our end of the socket to it
    prepared_flags  CLONE_NEW* of the namespaces that were made ahead for it
    """

    def __init__(self) -> None:
        self.pid = 0
        self.pidfd = -1
        self.sync = -1
        self.prepared_flags = 0
        self._made: Spawn | None = None

    def prepare(self, unshare_flags: int, *, directory: int = -1) -> None:
        """Begin to make namespaces (CLONE_NEW*) for a child that neither forks nor has a user namespace.

        `directory` is that of spawn().

        The kernel takes its time for them, which the caller uses meanwhile. Raises OciError.
        """
        self._made = ffi.new("struct spawn *")
        self._made.directory = directory
        result = lib.pyoci_prepare(self._made, unshare_flags)
        if result < 0:
            raise not_started(-result, unshare_flags)
        self.prepared_flags = unshare_flags

    def spawn(
        self,
        clone_flags: int,
        *,
        cgroup_fd: int = -1,
        directory: int = -1,
        wait_for_maps: bool = False,
        become_root: bool = False,
        preserved: int = 0,
        die_with_parent: bool = False,
        store: int = -1,
    ) -> None:
        """Start the process. Raises OciError.

        clone_flags      CLONE_NEW* of the clone; what else it unshares or joins is a matter of its first plan
        cgroup_fd        a directory of cgroup v2 for CLONE_INTO_CGROUP, or -1
        directory        a descriptor of its working directory, or -1 for ours
        wait_for_maps    it waits for send_byte() until its id maps are written
        become_root      then it becomes root of its user namespace
        preserved        how many descriptors from 3 up it keeps
        die_with_parent  the kernel kills it when we end
        store            a descriptor of a directory for its program where none runs from memory (vm.memfd_noexec), or -1
        """
        made = self._made = self._made or ffi.new("struct spawn *")
        made.clone_flags = clone_flags
        made.cgroup_fd = cgroup_fd
        made.directory = directory
        made.wait_for_maps = wait_for_maps
        made.become_root = become_root
        made.preserved = preserved
        made.die_with_parent = die_with_parent
        made.store = store
        # A signal's handler may raise right after the call: kill() finds the process in `made`.
        result = lib.pyoci_spawn(made)
        if result < 0:
            self._release()
            raise not_started(-result, clone_flags | self.prepared_flags)
        self._take()

    def _take(self) -> None:
        """The process that a call of the shim has made is ours."""
        if self._made is not None and not self.pid and self._made.pid > 0:
            self.pid, self.pidfd, self.sync = self._made.pid, self._made.pidfd, self._made.sync
            self._made.pid = 0  # taken: it may have another process in its place by the next time

    def _release(self) -> None:
        """Kill what prepare() has begun, and free what the process shared with us until its execve(2)."""
        made, self._made = self._made, None
        if made is not None:
            lib.pyoci_release(made)

    def send_byte(self) -> None:
        """Let a process go on that waits for its id maps, or for our leave. Raises OciError; then it has been killed."""
        result = lib.pyoci_send_byte(self.sync)
        if result < 0:
            raise self.broken(-result)

    def broken(self, error: int) -> OciError:
        """The error for a socket that fails: the process would wait for ever, so it is killed first."""
        self.kill()
        return OciError("init-died", "cannot talk to the container's init", errno=error)

    def reap(self) -> int | None:
        """The wait status of a process that ends; None where it is not our child any more."""
        try:
            return posix.waitpid(self.pid, 0)[1]
        except OSError:
            return None

    def kill(self) -> None:
        """Kill the process, or what was prepared for it, and reap it. Raises nothing."""
        self._take()
        if self.pid and self.pidfd >= 0 and lib.pyoci_pidfd_signal(self.pidfd, signal_numbers.KILL) == 0:
            self.reap()
        self.close()

    def close(self) -> None:
        """Close what we hold of the process; it lives on."""
        for fd in (self.sync, self.pidfd):
            if fd >= 0:
                files.close(fd)
        self.sync = self.pidfd = -1
        self._release()


def not_started(error: int, flags: int) -> OciError:
    """The error for a clone that failed; `flags` are the CLONE_NEW* asked for."""
    names = [name for name, flag in namespaces.FLAGS.items() if flags & flag]
    what = "cannot start the container's process"
    if names:
        what += f" in new {' and '.join(names)} namespaces"
    hint = ""
    if error == errno.ENOSPC:
        hint = "the limit of namespaces is reached: raise /proc/sys/user/max_*_namespaces"
    elif error in (errno.EPERM, errno.EACCES) and _no_program_in_memory():
        hint = "vm.memfd_noexec is 2: set it to 1, or use --root with a directory whose file system is not mounted noexec"
    elif "user" in names and error in (errno.EPERM, errno.EACCES):
        from pyoci.host import restrictions

        hint = restrictions.user_namespaces()
    elif error == errno.EPERM and "user" not in names:
        hint = "without root a container needs a new user namespace: see `pyoci spec --rootless`"
    elif error == errno.EAGAIN:
        hint = "the limit of processes is reached: check RLIMIT_NPROC and pids.max of the cgroups"
    return OciError("namespace", what, errno=error, pointer="/linux/namespaces" if names else "", hint=hint)


def _no_program_in_memory() -> bool:
    """Whether the pid namespace has vm.memfd_noexec=2."""
    try:
        return files.read("/proc/sys/vm/memfd_noexec") == b"2\n"
    except OSError:
        return False
