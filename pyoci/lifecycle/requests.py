"""What the command line asks of the lifecycle: plain records, filled by the verbs."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.seccomp.supervisor import Supervisor
    from pyoci.trace.recorder import Trace


class ProcessRequest:
    """What `create`, `run` and `exec` have in common.

    root             directory of the state store (absolute)
    id               the container's id
    console_socket   path of the AF_UNIX socket that receives the terminal's master, or ""
    pidfd_socket     path of the AF_UNIX socket that receives a pidfd of the process, or ""
    pid_file         path that gets the pid in decimal digits, or ""
    preserve_fds     how many descriptors from 3 up the process keeps
    detach           the runtime ends when the program runs, instead of waiting for its end
    no_new_keyring   the process stays in the session keyring of the caller
    trace            what measures the command, or None
    """

    def __init__(self, root: str, id: str) -> None:
        self.root = root
        self.id = id
        self.console_socket = ""
        self.pidfd_socket = ""
        self.pid_file = ""
        self.preserve_fds = 0
        self.detach = False
        self.no_new_keyring = False
        self.trace: Trace | None = None


class CreateRequest(ProcessRequest):
    """A `create` or a `run`.

    bundle           directory with config.json
    config           name of the configuration file within the bundle, or an absolute path
    no_pivot         chroot(2) in place of pivot_root(2)
    keep             `run` does not delete the container that has ended
    cgroup_manager   "cgroupfs", "systemd" or "disabled"
    rootless         True, False, or None to find out
    explain_seccomp  `run` lists what the seccomp filter denied
    supervisor       what answers for the seccomp filter of `run`, or None
    """

    def __init__(self, root: str, id: str, bundle: str) -> None:
        super().__init__(root, id)
        self.explain_seccomp = False
        self.supervisor: Supervisor | None = None
        self.bundle = bundle
        self.config = "config.json"
        self.no_pivot = False
        self.keep = False
        self.cgroup_manager = "cgroupfs"
        self.rootless: bool | None = None


class ExecRequest(ProcessRequest):
    """An `exec`: either a file with a whole process object, or arguments laid over the container's own process.

    process          path of a JSON process object, or ""
    args             the command and its arguments (when `process` is "")
    cwd, env, user   "" or [] mean: as the container's own process; user is "UID[:GID]"
    additional_gids  more group ids
    caps             capabilities added to bounding, effective and permitted
    tty              True asks for a terminal
    no_new_privs, apparmor, process_label   as the options of these names
    cgroups          "PATH" or "CONTROLLER[,CONTROLLER]:PATH" below the container's cgroup
    ignore_paused    a paused container is no reason to refuse
    """

    def __init__(self, root: str, id: str) -> None:
        super().__init__(root, id)
        self.process = ""
        self.args: list[str] = []
        self.cwd = ""
        self.env: list[str] = []
        self.user = ""
        self.additional_gids: list[int] = []
        self.caps: list[str] = []
        self.tty = False
        self.no_new_privs = False
        self.apparmor = ""
        self.process_label = ""
        self.cgroups: list[str] = []
        self.ignore_paused = False
