"""Trying things out: a throw-away init executes a plan in namespaces of its own and is killed.

What works here works for a container, for it is the same program that does it. The machine itself is left as it is: all that
a trial makes ends with its process.
"""

import os
import posix
import tempfile

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.base.errors import OciError
from pyoci.init.process import InitProcess
from pyoci.plan.ops import Plan
from pyoci.spec import mount_options, namespaces
from pyoci.userns import idmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import IDMapping


class Trial:
    """A plan under construction, and the process it shall run in.

    kinds   types of new namespaces, as linux.namespaces names them; without root a user namespace is always among them
    """

    def __init__(self, *kinds: str, cgroup: str = "") -> None:
        """`cgroup`: a directory of cgroup v2 that the process starts in."""
        self.plan = Plan()
        self._kinds = set(kinds)
        self._cgroup = cgroup
        self._maps: tuple[list[IDMapping], list[IDMapping]] | None = None
        if posix.geteuid() != 0:
            self._kinds.add("user")
        unshared = self._flags("mount", "uts", "ipc", "network", "cgroup")
        if unshared:
            self.plan.add(ops.unshare(flags=unshared))
        if "mount" in kinds:
            private = mount_options.MS_PRIVATE | mount_options.MS_REC
            self.plan.add(ops.host_propagation(flags=private))

    def maps(self, uids: "list[IDMapping]", gids: "list[IDMapping]") -> "Trial":
        """Use these id maps for the user namespace instead of the caller's own id alone."""
        self._maps = uids, gids
        return self

    def add(self, op: ops.Op) -> "Trial":
        """Append an op."""
        self.plan.add(op)
        return self

    def file_system(self, kind: str) -> "Trial":
        """A new file system, mounted nowhere."""
        return self.add(ops.fsmount(type=kind, source=kind))

    def run(self) -> str:
        """Execute the plan. Gives "" when all of it worked, else why not."""
        init = InitProcess()
        cgroup_fd = -1
        try:
            if self._cgroup:
                cgroup_fd = posix.open(self._cgroup, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
            self._spawn(init, cgroup_fd)
            init.send("trial", self.plan, [])
            init.expect(lib.REPLY_DONE)
            return ""
        except (OciError, OSError) as error:
            return reason(error)
        finally:
            init.kill()
            if cgroup_fd >= 0:
                posix.close(cgroup_fd)

    def _spawn(self, init: InitProcess, cgroup_fd: int) -> None:
        user = "user" in self._kinds
        flags = self._flags("pid", "user")
        store = posix.open(
            os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir(), posix.O_PATH | posix.O_CLOEXEC
        )
        try:
            init.spawn(
                flags,
                cgroup_fd=cgroup_fd,
                wait_for_maps=user,
                become_root=user,
                die_with_parent=True,
                store=store,
            )
        finally:
            posix.close(store)
        if user:
            uids, gids = self._maps or (own_id(posix.geteuid()), own_id(posix.getegid()))
            idmap.write_maps(init.pid, uids, gids, rootless=posix.geteuid() != 0)
            init.send_byte()

    def _flags(self, *kinds: str) -> int:
        return sum(namespaces.FLAGS[kind] for kind in kinds if kind in self._kinds)


def own_id(number: int) -> "list[IDMapping]":
    """An id map of one id: root inside is us outside."""
    return [{"containerID": 0, "hostID": number, "size": 1}]


def reason(error: OciError | OSError) -> str:
    """An error in words, without the part that only names the trial."""
    if isinstance(error, OSError):
        return str(error.strerror or error).lower()
    return error.text().removeprefix(": ")
