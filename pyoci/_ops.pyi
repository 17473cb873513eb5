# Made by csrc/build/ops_stub.py: change csrc/ops.def, not this file.
from typing import Any, Literal

Value = str | int | bytes | list[str] | list[int]

class Op:
    """An op, and what it is for. Its fields are attributes of it."""

    pointer: str
    about: str
    @property
    def name(self) -> OpName: ...
    @property
    def values(self) -> tuple[Value, ...]: ...
    def __init__(self, name: str, pointer: str, about: str) -> None: ...
    def __getattr__(self, field: str) -> Any: ...
    def fields(self) -> dict[str, Value]: ...

# name -> code of the error when it fails, (name, kind, whether it may be left out) of each field
OPS: dict[OpName, tuple[str, tuple[tuple[str, str, bool], ...]]]
# the names of the steps, by their numbers
STEPS: tuple[Step | Literal[""], ...]

def encode(ops: list[Op], flags: int, /) -> bytes: ...
def unshare(*, flags: int) -> Op: ...
def setns(*, fd: int, flags: int, tentative: bool = ..., again: bool = ...) -> Op: ...
def fork(*, flags: int = ...) -> Op: ...
def become_root() -> Op: ...
def time_namespace(*, offsets: str) -> Op: ...
def join_cgroup(*, tasks: int, count: int) -> Op: ...
def setsid() -> Op: ...
def join_session_keyring(*, keyring: str) -> Op: ...
def sethostname(*, hostname: str) -> Op: ...
def setdomainname(*, domainname: str) -> Op: ...
def loopback_up() -> Op: ...
def open_procfs(*, pid_only: bool = ...) -> Op: ...
def write_procfs(*, path: str, content: str) -> Op: ...
def host_propagation(*, flags: int) -> Op: ...
def mount_rootfs(*, path: str, tree: int = ..., shared: bool = ...) -> Op: ...
def open_rootfs(*, path: str) -> Op: ...
def readonly_rootfs() -> Op: ...
def pivot_root() -> Op: ...
def move_root(*, path: str) -> Op: ...
def chroot() -> Op: ...
def rootfs_propagation(*, flags: int) -> Op: ...
def fsmount(*, type: str, source: str, options: list[str] = ..., attributes: int = ..., to: int = ..., mode_of: int = ...) -> Op: ...
def sysfs(*, source: str, options: list[str] = ..., attributes: int = ...) -> Op: ...
def mount(*, type: str, source: str, data: str, flags: int = ..., mode_of: int = ...) -> Op: ...
def open_tree(*, source: str, tree: int = ..., recursive: bool = ..., below: int = ..., nofollow: bool = ...) -> Op: ...
def mount_setattr(*, mount: int, set: int = ..., clear: int = ..., propagation: int = ..., recursive: bool = ...) -> Op: ...
def bind_attributes(*, mount: int, set: int = ..., clear: int = ...) -> Op: ...
def mountpoint(*, path: str, type: int, mode: int = ..., below: int = ..., no_symlinks: bool = ..., nofollow: bool = ...) -> Op: ...
def move_mount(*, mount: int, onto: int) -> Op: ...
def label(*, mount: int, label: str) -> Op: ...
def reconfigure(*, mount: int, options: list[str]) -> Op: ...
def dup(*, old: int, new: int) -> Op: ...
def copy_up(*, source: int, mount: int) -> Op: ...
def mask_path(*, path: str, below: int = ..., label: str = ...) -> Op: ...
def readonly_path(*, path: str, below: int = ...) -> Op: ...
def mknod(*, path: str, mode: int, device: int = ..., uid: int = ..., gid: int = ...) -> Op: ...
def symlink(*, target: str, path: str, below: int, exact: bool = ...) -> Op: ...
def console(*, rows: int = ..., columns: int = ..., dev_console: bool = ...) -> Op: ...
def stdio_null() -> Op: ...
def stdio_owner(*, uid: int, console: bool = ...) -> Op: ...
def hook(*, path: str, args: list[str], env: list[str], before: bytes, after: bytes, timeout: int = ..., as_program: bool = ..., program_env: bool = ..., out: int = ..., err: int = ...) -> Op: ...
def setrlimit(*, resource: int, soft: int, hard: int, raise_only: bool = ...) -> Op: ...
def sched_setattr(*, policy: int, flags: int = ..., nice: int = ..., priority: int = ..., runtime: int = ..., deadline: int = ..., period: int = ...) -> Op: ...
def ioprio_set(*, priority: int) -> Op: ...
def sched_setaffinity(*, mask: bytes = ...) -> Op: ...
def set_mempolicy(*, mode: int, nodes: bytes = ...) -> Op: ...
def personality(*, persona: int) -> Op: ...
def umask(*, mask: int) -> Op: ...
def mkdir(*, path: str) -> Op: ...
def chdir(*, path: str, create: bool = ..., tentative: bool = ...) -> Op: ...
def bounding_set(*, capabilities: int) -> Op: ...
def user(*, uid: int, gid: int, groups: list[int] = ..., keep_groups: bool = ...) -> Op: ...
def capset(*, effective: int, permitted: int, inheritable: int, ambient: int) -> Op: ...
def no_new_privs() -> Op: ...
def seccomp(*, filter: bytes, flags: int = ...) -> Op: ...
def find_executable(*, program: str, path: str) -> Op: ...
def landlock_ruleset(*, paths: int = ..., ports: int = ..., scoped: int = ...) -> Op: ...
def landlock_path(*, path: str, rights: int, file_rights: int, optional: bool = ...) -> Op: ...
def landlock_port(*, rights: int, port: int) -> Op: ...
def landlock(*, flags: int = ...) -> Op: ...
def home(*, uid: int) -> Op: ...
def ready(*, failure: int = ...) -> Op: ...
def seccomp_notify(*, filter: bytes, flags: int, failure: int = ...) -> Op: ...
def seccomp_listener(*, filter: bytes, flags: int) -> Op: ...
def wait_start(*, fifo: int) -> Op: ...
def execve(*, args: list[str], env: list[str]) -> Op: ...

OpName = Literal[
    "unshare",
    "setns",
    "fork",
    "become_root",
    "time_namespace",
    "join_cgroup",
    "setsid",
    "join_session_keyring",
    "sethostname",
    "setdomainname",
    "loopback_up",
    "open_procfs",
    "write_procfs",
    "host_propagation",
    "mount_rootfs",
    "open_rootfs",
    "readonly_rootfs",
    "pivot_root",
    "move_root",
    "chroot",
    "rootfs_propagation",
    "fsmount",
    "sysfs",
    "mount",
    "open_tree",
    "mount_setattr",
    "bind_attributes",
    "mountpoint",
    "move_mount",
    "label",
    "reconfigure",
    "dup",
    "copy_up",
    "mask_path",
    "readonly_path",
    "mknod",
    "symlink",
    "console",
    "stdio_null",
    "stdio_owner",
    "hook",
    "setrlimit",
    "sched_setattr",
    "ioprio_set",
    "sched_setaffinity",
    "set_mempolicy",
    "personality",
    "umask",
    "mkdir",
    "chdir",
    "bounding_set",
    "user",
    "capset",
    "no_new_privs",
    "seccomp",
    "find_executable",
    "landlock_ruleset",
    "landlock_path",
    "landlock_port",
    "landlock",
    "home",
    "ready",
    "seccomp_notify",
    "seccomp_listener",
    "wait_start",
    "execve",
]
Step = Literal[
    "chdir",
    "chmod",
    "chown",
    "chroot",
    "clone",
    "close_range",
    "capset",
    "create",
    "dup2",
    "execve",
    "executable",
    "fchdir",
    "fork",
    "fsconfig",
    "fsetxattr",
    "fsmount",
    "fsopen",
    "fspick",
    "getcwd",
    "getdents",
    "getrlimit",
    "hook",
    "interpreter",
    "ioprio_set",
    "keyctl",
    "landlock",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "lseek",
    "machine",
    "memfd_create",
    "mkdir",
    "mknod",
    "mount",
    "mount_setattr",
    "move_mount",
    "noexec",
    "open",
    "open_tree",
    "openat2",
    "path",
    "personality",
    "pidfd_open",
    "pipe",
    "pivot_root",
    "plan",
    "poll",
    "pthread_create",
    "PR_CAPBSET_DROP",
    "PR_CAP_AMBIENT_RAISE",
    "PR_SET_DUMPABLE",
    "PR_SET_KEEPCAPS",
    "PR_SET_NO_NEW_PRIVS",
    "read",
    "readlink",
    "RTM_NEWLINK",
    "sched_setaffinity",
    "sched_setattr",
    "seccomp",
    "sendfile",
    "set_mempolicy",
    "setdomainname",
    "setgroups",
    "sethostname",
    "setns",
    "setresgid",
    "setresuid",
    "setrlimit",
    "setsid",
    "socket",
    "stat",
    "statfs",
    "symlink",
    "TIOCGPTPEER",
    "TIOCSCTTY",
    "TIOCSPTLCK",
    "TIOCSWINSZ",
    "umount",
    "unshare",
    "write",
]
