"""Every command and option of pyoci, in one table: the parser, help, man page and completion all read it.

A command is a tuple (NAME, CORE, LEAST, MOST, TAIL, USAGE, SUMMARY, OPTIONS):
  NAME     one word, or that of a group and its own: "seccomp record"
  CORE     it runs without the standard library; the others get a full interpreter first
  LEAST, MOST  how many arguments it takes; MOST is -1 for "any number"
  TAIL     what follows the first argument belongs to that argument, even if it begins with "-"
An option is a tuple (KEY, NAMES, KIND, VALUE, HELP):
  KEY      its name in `Options.values` and in the request; "" is accepted and ignored
  NAMES    its spellings without dashes, the long one first
  VALUE    what the help calls its value; for CHOICE and AUTO the allowed values, separated by "|"
  HELP     one line without a full stop; "" hides the option (kept for callers of other runtimes)
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    Option = tuple[str, tuple[str, ...], int, str, str]
    Command = tuple[str, bool, int, int, bool, str, str, tuple[Option, ...]]

NAME: "Final" = 0
CORE: "Final" = 1
LEAST: "Final" = 2
MOST: "Final" = 3
TAIL: "Final" = 4
USAGE: "Final" = 5
SUMMARY: "Final" = 6
OPTIONS: "Final" = 7

KEY: "Final" = 0
NAMES: "Final" = 1
KIND: "Final" = 2
VALUE: "Final" = 3
HELP: "Final" = 4

FLAG: "Final" = 0
TEXT: "Final" = 1
NUMBER: "Final" = 2
LIST: "Final" = 3
NUMBERS: "Final" = 4
CHOICE: "Final" = 5
AUTO: "Final" = 6

GLOBALS: "tuple[Option, ...]" = (
    ("root", ("root",), TEXT, "DIR", "the containers' state (default: /run/pyoci or $XDG_RUNTIME_DIR/pyoci)"),
    ("log", ("log",), TEXT, "FILE", "append log lines to FILE (default: standard error)"),
    ("log_format", ("log-format",), CHOICE, "text|json", "form of the log lines (default: text)"),
    ("debug", ("debug",), FLAG, "", "log more"),
    (
        "systemd_cgroup",
        ("systemd-cgroup",),
        FLAG,
        "",
        "let systemd make the cgroups: cgroupsPath is slice:prefix:name",
    ),
    (
        "cgroup_manager",
        ("cgroup-manager",),
        CHOICE,
        "cgroupfs|systemd|disabled",
        "who makes the cgroups (default: cgroupfs)",
    ),
    (
        "rootless",
        ("rootless",),
        AUTO,
        "true|false|auto",
        "ignore missing permissions on cgroups (default: auto)",
    ),
    ("help", ("help", "h"), FLAG, "", "show help"),
    ("version", ("version", "v", "V"), FLAG, "", "show the version"),
    ("verbose", ("verbose",), FLAG, "", "with --version: also show the launcher and what is embedded"),
    ("log_level", ("log-level",), CHOICE, "error|warning|info|debug", ""),
    ("", ("criu",), TEXT, "PATH", ""),
    ("", ("systemd-log",), FLAG, "", ""),
)

HELP_OPTION: "Option" = ("help", ("help", "h"), FLAG, "", "show help for this command")

_BUNDLE: "Option" = (
    "bundle",
    ("bundle", "b"),
    TEXT,
    "DIR",
    "bundle directory (default: the working directory)",
)
_PID_FILE: "Option" = (
    "pid_file",
    ("pid-file",),
    TEXT,
    "FILE",
    "write the process id, as this host sees it, to FILE",
)
_CONSOLE: "Option" = (
    "console_socket",
    ("console-socket",),
    TEXT,
    "SOCKET",
    "AF_UNIX socket that receives the terminal's master",
)
_PIDFD: "Option" = (
    "pidfd_socket",
    ("pidfd-socket",),
    TEXT,
    "SOCKET",
    "AF_UNIX socket that receives a pidfd of the process",
)
_PRESERVE: "Option" = (
    "preserve_fds",
    ("preserve-fds",),
    NUMBER,
    "N",
    "pass N more descriptors, from 3 + $LISTEN_FDS on",
)
_TRACE: "Option" = ("trace", ("trace",), TEXT, "FILE", "write where the time went to FILE, as a Chrome trace")
_DETACH: "Option" = ("detach", ("detach", "d"), FLAG, "", "leave the process in the background and return")
_ALL: "Option" = (
    "all",
    ("all", "a"),
    FLAG,
    "",
    "signal every process of the container; a stopped container is no error",
)
_REGEX: "Option" = (
    "regex",
    ("regex", "r"),
    FLAG,
    "",
    "ID is a regular expression: act on every container that matches",
)

_CONFIG: "Option" = (
    "config",
    ("config", "f"),
    TEXT,
    "FILE",
    "configuration file, seen from the bundle (default: config.json)",
)
_NO_PIVOT: "Option" = (
    "no_pivot",
    ("no-pivot",),
    FLAG,
    "",
    "move the root into place without pivot_root, for a host root on a ramdisk",
)
_NO_NEW_KEYRING: "Option" = (
    "no_new_keyring",
    ("no-new-keyring",),
    FLAG,
    "",
    "keep the caller's session keyring",
)
_CREATE: "tuple[Option, ...]" = (
    _BUNDLE,
    _CONFIG,
    _CONSOLE,
    _PIDFD,
    _PID_FILE,
    _NO_PIVOT,
    _NO_NEW_KEYRING,
    _PRESERVE,
    _TRACE,
    ("", ("no-subreaper",), FLAG, "", ""),
)

COMMANDS: "tuple[Command, ...]" = (
    ("create", True, 1, 1, False, "ID", "create a container from a bundle", _CREATE),
    ("start", True, 1, 1, False, "ID", "start the process of a created container", ()),
    ("state", True, 1, 1, False, "ID", "print the state of a container as JSON", ()),
    (
        "kill",
        True,
        1,
        2,
        False,
        "ID [SIGNAL]",
        "send a signal (default: TERM) to a container",
        (_ALL, _REGEX),
    ),
    (
        "delete",
        True,
        1,
        1,
        False,
        "ID",
        "remove a stopped container and all it holds",
        (
            ("force", ("force", "f"), FLAG, "", "kill a running container first; a missing one is no error"),
            _REGEX,
        ),
    ),
    (
        "run",
        True,
        1,
        1,
        False,
        "ID",
        "create a container, start it, wait for it and delete it",
        (
            *_CREATE,
            _DETACH,
            ("keep", ("keep",), FLAG, "", "do not delete the container when its process ends"),
            (
                "explain_seccomp",
                ("explain-seccomp",),
                FLAG,
                "",
                "at the end, list the system calls that linux.seccomp denied",
            ),
        ),
    ),
    (
        "exec",
        True,
        1,
        -1,
        True,
        "ID [COMMAND [ARG...]]",
        "run one more process in a running container",
        (
            (
                "process",
                ("process", "p"),
                TEXT,
                "FILE",
                "take the whole process from FILE, an OCI process object in JSON",
            ),
            ("cwd", ("cwd",), TEXT, "DIR", "working directory in the container"),
            ("env", ("env", "e"), LIST, "NAME=VALUE", "set an environment variable (repeatable)"),
            ("tty", ("tty", "t"), FLAG, "", "give the process a terminal"),
            ("user", ("user", "u"), TEXT, "UID[:GID]", "user and group id"),
            ("additional_gids", ("additional-gids", "g"), NUMBERS, "GID", "one more group id (repeatable)"),
            ("caps", ("cap", "c"), LIST, "CAP", "add a capability (repeatable)"),
            ("no_new_privs", ("no-new-privs",), FLAG, "", "forbid gaining privileges by exec"),
            ("apparmor", ("apparmor",), TEXT, "PROFILE", "AppArmor profile of the process"),
            ("process_label", ("process-label",), TEXT, "LABEL", "SELinux label of the process"),
            (
                "cgroups",
                ("cgroup",),
                LIST,
                "[CONTROLLER:]PATH",
                "run in this cgroup below the container's (repeatable)",
            ),
            (
                "ignore_paused",
                ("ignore-paused",),
                FLAG,
                "",
                "accept a paused container: the process starts on resume",
            ),
            _DETACH,
            _PID_FILE,
            _CONSOLE,
            _PIDFD,
            _PRESERVE,
            _TRACE,
            ("", ("no-subreaper",), FLAG, "", ""),
        ),
    ),
    (
        "list",
        True,
        0,
        0,
        False,
        "",
        "list the containers of a root",
        (
            ("format", ("format", "f"), CHOICE, "table|json", "form of the list (default: table)"),
            ("quiet", ("quiet", "q"), FLAG, "", "print the ids only"),
        ),
    ),
    ("pause", True, 1, 1, False, "ID", "stop every process of a container", ()),
    ("resume", True, 1, 1, False, "ID", "resume the processes of a paused container", ()),
    (
        "ps",
        True,
        1,
        -1,
        True,
        "ID [PS-OPTION...]",
        "show the processes of a container",
        (
            (
                "format",
                ("format", "f"),
                CHOICE,
                "table|json",
                "what the host's ps says, or the process ids only (default: table)",
            ),
        ),
    ),
    (
        "update",
        False,
        1,
        1,
        False,
        "ID",
        "set other limits for a container",
        (
            (
                "resources",
                ("resources", "r"),
                TEXT,
                "FILE",
                "take the limits from FILE, or - for standard input: linux.resources in JSON",
            ),
            ("memory", ("memory",), TEXT, "SIZE", "memory limit in bytes, or such as 64M; -1 for none"),
            (
                "memory_reservation",
                ("memory-reservation",),
                TEXT,
                "SIZE",
                "memory that is not reclaimed lightly",
            ),
            (
                "memory_swap",
                ("memory-swap",),
                TEXT,
                "SIZE",
                "limit of memory and swap together; -1 for none",
            ),
            (
                "cpu_share",
                ("cpu-share",),
                TEXT,
                "N",
                "share of the CPU, against that of others (2 to 262144)",
            ),
            ("cpu_quota", ("cpu-quota",), TEXT, "USECS", "CPU time allowed in each period; -1 for no limit"),
            ("cpu_period", ("cpu-period",), TEXT, "USECS", "length of the quota's period"),
            ("cpu_burst", ("cpu-burst",), TEXT, "USECS", "unused quota that can be saved up"),
            ("cpu_idle", ("cpu-idle",), TEXT, "0|1", "1: run only when the CPU is otherwise idle"),
            (
                "cpu_rt_runtime",
                ("cpu-rt-runtime",),
                TEXT,
                "USECS",
                "realtime CPU time in each period (cgroup v1)",
            ),
            ("cpu_rt_period", ("cpu-rt-period",), TEXT, "USECS", "length of the realtime period (cgroup v1)"),
            ("cpuset_cpus", ("cpuset-cpus",), TEXT, "LIST", "CPUs it may use, such as 0-2,5"),
            ("cpuset_mems", ("cpuset-mems",), TEXT, "LIST", "memory nodes it may use"),
            (
                "pids_limit",
                ("pids-limit",),
                TEXT,
                "N",
                "how many processes and threads it may have; -1 for any",
            ),
            (
                "blkio_weight",
                ("blkio-weight",),
                TEXT,
                "N",
                "share of block I/O, against that of others (10 to 1000)",
            ),
            ("l3_cache_schema", ("l3-cache-schema",), TEXT, "SCHEMA", "Intel RDT: parts of the L3 cache"),
            ("mem_bw_schema", ("mem-bw-schema",), TEXT, "SCHEMA", "Intel RDT: memory bandwidth"),
            ("kernel_memory", ("kernel-memory",), TEXT, "SIZE", ""),
            ("kernel_memory_tcp", ("kernel-memory-tcp",), TEXT, "SIZE", ""),
        ),
    ),
    (
        "spec",
        False,
        0,
        0,
        False,
        "",
        "write a starter configuration",
        (
            ("bundle", ("bundle", "b"), TEXT, "DIR", "where to write it (default: the working directory)"),
            (
                "config",
                ("config", "f"),
                TEXT,
                "FILE",
                "name of the file, seen from the bundle (default: config.json)",
            ),
            (
                "rootless",
                ("rootless",),
                FLAG,
                "",
                "for a user without privileges: one id mapped, no new network namespace",
            ),
        ),
    ),
    (
        "validate",
        False,
        0,
        1,
        False,
        "[BUNDLE|FILE|-]",
        "show every problem of a configuration",
        (
            (
                "format",
                ("format", "f"),
                CHOICE,
                "text|json|github|sarif",
                "form of the report (default: text)",
            ),
            ("strict", ("strict",), FLAG, "", "add advice on security"),
            ("state", ("state",), FLAG, "", "the document is a container's state"),
            ("features", ("features",), FLAG, "", "the document is a runtime's features"),
        ),
    ),
    (
        "plan",
        False,
        0,
        1,
        False,
        "[BUNDLE]",
        "show what `create` of a bundle does, without doing it",
        (
            (
                "steps",
                ("steps",),
                FLAG,
                "",
                "every step in order, not one line for each thing that is asked for",
            ),
            ("format", ("format", "f"), CHOICE, "text|json", "form of the plan (default: text)"),
            ("id", ("id",), TEXT, "ID", "id of the container (default: the name of the bundle's directory)"),
            ("run", ("run",), FLAG, "", "as `run` does it, which does not wait for `start`"),
            (_CONFIG[0], ("config",), *_CONFIG[2:]),
            _PID_FILE,
            _NO_PIVOT,
            _NO_NEW_KEYRING,
            _PRESERVE,
        ),
    ),
    (
        "seccomp record",
        False,
        1,
        -1,
        False,
        "BUNDLE [-- COMMAND [ARG...]]",
        "run a container and write the seccomp profile that it needs",
        (
            ("output", ("output", "o"), TEXT, "FILE", "where to write the profile, in place of an older one"),
            ("merge", ("merge",), TEXT, "FILE", "add what the profile in FILE allows"),
            _CONFIG,
            ("id", ("id",), TEXT, "ID", "id of the container (default: record- and the process id of pyoci)"),
        ),
    ),
    (
        "seccomp check",
        False,
        1,
        1,
        False,
        "PROFILE",
        "show what a seccomp profile allows beyond docker's default profile",
        (
            (
                "like",
                ("like",),
                TEXT,
                "docker|FILE",
                "compare with this profile in place of docker's default profile",
            ),
            ("format", ("format", "f"), CHOICE, "text|json", "form of the report (default: text)"),
            ("verbose", ("verbose",), FLAG, "", "name also what it denies and the default profile allows"),
        ),
    ),
    (
        "doctor",
        False,
        0,
        0,
        False,
        "",
        "check what this machine offers containers",
        (
            ("format", ("format", "f"), CHOICE, "text|json", "form of the report (default: text)"),
            ("fix", ("fix",), FLAG, "", "remove what is left of dead containers"),
        ),
    ),
    ("features", True, 0, 0, False, "", "print what this build knows of config.json, as JSON", ()),
    (
        "engine-config",
        False,
        1,
        1,
        False,
        "podman|docker|containerd|crio|kubernetes|buildkit|nvidia",
        "print what an engine needs in its configuration to use pyoci",
        (
            ("write", ("write",), FLAG, "", "put it in place, with a backup of what was there"),
            ("check", ("check",), FLAG, "", "ask the engine whether it uses pyoci now; exit 1 if not"),
        ),
    ),
    (
        "trace",
        False,
        1,
        1,
        False,
        "FILE",
        "draw a file written by --trace",
        (("svg", ("svg",), TEXT, "FILE", "write the picture to FILE (default: standard output)"),),
    ),
    (
        "version",
        True,
        0,
        0,
        False,
        "",
        "show the version",
        (("verbose", ("verbose",), FLAG, "", "also show the interpreter and the launcher"),),
    ),
    (
        "help",
        True,
        0,
        2,
        False,
        "[COMMAND]",
        "show help for pyoci or for one command",
        (("man", ("man",), FLAG, "", "write its manual page (troff)"),),
    ),
    ("completion", True, 1, 1, False, "bash|zsh|fish", "write the completion script of a shell", ()),
)
