"""What the compiler has to know of the host: gathered before, so that compiling itself looks at nothing."""

from pyoci.spec import capabilities
from pyoci.spec.seccomp_words import FLAG_NEW_LISTENER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.cgroup_facts import CgroupFacts


class Facts:
    """The host as far as a plan depends on it.

    rootfs         absolute host path of the root file system
    bundle         absolute path of the bundle, which relative sources start from
    id             the container's id
    open_sources   the runtime opens the sources of bind mounts: the init, in a user namespace, may not reach them
    capabilities   bit mask of the capabilities the init will hold (all, in a user namespace of its own)
    links          index of a mount with the option "copy-symlink" -> content of the link that its source is
    cgroup         `mount_facts()` of the cgroup manager, or None without cgroups
    cgroup_fds     how many v1 `tasks` descriptors the init writes itself into
    wait_start     the init waits for `start` (create), or goes on at once (run)
    can_set_groups setgroups(2) is not denied in the user namespace
    ordinary_user  the runtime is not root where it runs
    may_mount      the runtime is root with CAP_SYS_ADMIN, which root of a container has not: it may open the trees of mounts
    nested         the runtime itself is in a user namespace: no device node can be made
    no_pivot, no_new_keyring   as the command line has it
    listen_fds     LISTEN_FDS to hand on, 0 for none; listen_names its LISTEN_FDNAMES
    notify         the directory of the socket for sd_notify(3), or ""
    longest_string bytes that an argument or a variable of a program may take, with its NUL: 32 pages (execve(2))
    kcore          the host has /proc/kcore
    states         the state document for hooks inside, as (before the pid, after the pid), by their kind
    landlock_abi   the ABI of Landlock that the kernel has, or -errno; 0 where no one asked
    seccomp        the compiled filter and its flags, or None
    supervised     the runtime itself takes the listener of the filter
    """

    def __init__(self, rootfs: str, id: str) -> None:
        self.rootfs = rootfs
        self.bundle = ""
        self.links: dict[int, str] = {}
        self.id = id
        self.open_sources = False
        self.capabilities = capabilities.ALL
        self.cgroup: CgroupFacts | None = None
        self.cgroup_fds = 0
        self.wait_start = True
        self.can_set_groups = True
        self.ordinary_user = False
        self.may_mount = True
        self.nested = False
        self.no_pivot = False
        self.no_new_keyring = False
        self.listen_fds = 0
        self.listen_names = ""
        self.notify = ""
        self.longest_string = 131072
        self.kcore = True
        self.states: dict[str, tuple[bytes, bytes]] = {}
        self.landlock_abi = 0
        self.seccomp: tuple[bytes, int] | None = None
        self.supervised = False

    @property
    def notifies(self) -> bool:
        """The filter has a listener, which is for an agent."""
        return self.seccomp is not None and not self.supervised and bool(self.seccomp[1] & FLAG_NEW_LISTENER)
