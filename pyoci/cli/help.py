"""`pyoci help`, `--help` and the manual page, all from the table."""

from pyoci.base import files
from pyoci.cli.parse import find
from pyoci.cli.table import (
    COMMANDS,
    FLAG,
    GLOBALS,
    HELP,
    HELP_OPTION,
    KIND,
    NAME,
    NAMES,
    OPTIONS,
    SUMMARY,
    USAGE,
    VALUE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cli.parse import Options
    from pyoci.cli.table import Command, Option

_MOST_INDENT = 34

GROUPS = (
    ("A container's life", ("create", "start", "run", "exec", "kill", "delete")),
    ("Looking at containers", ("state", "list", "ps")),
    ("Changing running containers", ("pause", "resume", "update")),
    ("Writing and checking bundles", ("spec", "validate", "plan")),
    (
        "About pyoci and this machine",
        ("doctor", "features", "engine-config", "trace", "version", "help", "completion"),
    ),
)

MORE = {
    "create": """\
The process is set up and waits: `start` runs the program. Its standard input, output and error are
those of this command, unless the configuration asks for a terminal: then --console-socket gets the
terminal's master.""",
    "run": "The exit status is that of the container's process, or 128 + N when signal N killed it.",
    "kill": "SIGNAL is a number or a name with or without SIG: 9, KILL, SIGKILL, RTMIN+3.",
    "exec": """\
The exit status is that of the process, or 255 when it could not be started. Options of pyoci go
before ID. With --process there is no COMMAND: FILE has it.""",
    "delete": "A running container is refused, unless --force is used.",
    "pause": """\
`exec` is refused; with --ignore-paused its process waits for `resume`. `kill` with signal KILL ends the
container all the same.""",
    "engine-config": """\
Nothing is changed without --write. --check asks the engine itself, where it is installed and runs. For
kubernetes the text is a RuntimeClass; the runtime itself stands in the file of containerd or CRI-O.""",
    "ps": "Options of pyoci go before ID; what follows it goes to ps, instead of -ef.",
    "update": """\
Zero, or an option that is missing, leaves a limit as it is. Device rules stay as they are. With
--resources the other limits on the command line are ignored. When the kernel refuses a limit, those
already set are restored.""",
    "validate": """\
The exit status is 0 when there is no error, 1 otherwise. "-" reads the document from standard input.""",
    "plan": """\
Nothing is executed: no privileges are needed. A step that a field of config.json asks for names that field.""",
    "spec": "An existing file is not overwritten.",
    "completion": """\
For bash: eval "$(pyoci completion bash)", or save the script where the shell looks for completions.""",
}

STATUS = (
    ("0", "success; for run and exec in the foreground: the process ended with 0"),
    (
        "1",
        "failure, or a wrong command line; validate found an error, doctor that containers do not run here",
    ),
    ("3", "unknown command"),
    ("128 + n", "signal n ended create, run or exec before the program ran, or killed the program"),
    ("255", "exec could not start the process"),
)

_FILES = (
    ("/run/pyoci", "state of the containers of the host's root; see --root"),
    ("/run/user/UID/pyoci", "state of a user's containers where XDG_RUNTIME_DIR is not set"),
    ("/var/cache/pyoci/seccomp", "compiled seccomp filters of the host's root"),
)

ENVIRONMENT = (
    (
        "XDG_RUNTIME_DIR",
        "for users without privileges: the state is kept in its directory pyoci, and systemd is reached there",
    ),
    ("USER", "root of a user namespace uses XDG_RUNTIME_DIR too, unless this is root"),
    (
        "LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES",
        "descriptors from 3 on that are passed to the container (sd_listen_fds(3))",
    ),
    (
        "XDG_CACHE_HOME, HOME",
        "compiled seccomp filters are kept in pyoci/seccomp or .cache/pyoci/seccomp there",
    ),
    ("XDG_CONFIG_HOME", "engine-config writes a user's configuration of podman in containers there"),
    (
        "DBUS_SYSTEM_BUS_ADDRESS, DBUS_SESSION_BUS_ADDRESS",
        "where systemd is reached; for root and for others",
    ),
    ("PATH", "where ps finds the host's ps(1)"),
)


def run(context: "Context", options: "Options") -> int:
    """Print help for pyoci or for one command, or the manual page."""
    if options.command is None or options.settings.get("help"):
        files.out(overview())
    elif options.command[NAME] != "help":
        files.out(command_help(options.command))
    elif options.values.get("man"):
        files.out(manual())
    elif options.values.get("help") or not options.args:
        files.out(command_help(options.command) if options.values.get("help") else overview())
    else:
        files.out(command_help(find(options.args[0])))
    return 0


def overview() -> str:
    """What pyoci is, its commands and its global options."""
    text = "pyoci runs containers from OCI bundles\n\n"
    text += "Usage: pyoci [global options] COMMAND [options] [arguments]\n"
    for title, names in GROUPS:
        rows = [
            (command[NAME], command[SUMMARY])
            for name in names
            for command in COMMANDS
            if command[NAME] == name
        ]
        if rows:
            text += f"\n{title}:\n{_columns(rows, 12)}"
    text += f"\nGlobal options, before the command:\n{_columns(_option_rows(GLOBALS))}"
    return text + "\npyoci COMMAND --help shows the options of a command.\n"


def command_help(command: "Command") -> str:
    """What one command does and its options."""
    text = f"pyoci {command[NAME]}: {command[SUMMARY]}\n\nUsage: {usage(command)}\n"
    if command[NAME] in MORE:
        text += f"\n{MORE[command[NAME]]}\n"
    return text + f"\nOptions:\n{_columns(_option_rows((*command[OPTIONS], HELP_OPTION)))}"


def usage(command: "Command") -> str:
    """How a command is called, in one line."""
    options = " [options]" if any(option[HELP] for option in command[OPTIONS]) else ""
    return f"pyoci [global options] {command[NAME]}{options} {command[USAGE]}".rstrip()


def spellings(option: "Option") -> str:
    """An option as help shows it: "-b, --bundle DIR"."""
    names = sorted(option[NAMES], key=len)
    text = ", ".join(("-" if len(name) == 1 else "--") + name for name in names)
    return text if option[KIND] == FLAG else f"{text} {option[VALUE]}"


def _option_rows(options: "tuple[Option, ...]") -> list[tuple[str, str]]:
    return [(spellings(option), option[HELP]) for option in options if option[HELP]]


def _columns(rows: list[tuple[str, str]], least: int = 0) -> str:
    width = max(least, min(_MOST_INDENT, max(len(left) for left, _ in rows)))
    text = ""
    for left, right in rows:
        text += (
            f"  {left:<{width}}  {right}\n" if len(left) <= width else f"  {left}\n  {'':<{width}}  {right}\n"
        )
    return text


def manual() -> str:
    """The manual page pyoci(8), in troff's man macros (man(7))."""
    import pyoci

    lines = [
        f'.TH PYOCI 8 "" "pyoci {pyoci.__version__}" "System Administration"',
        ".SH NAME",
        r"pyoci \- run containers from OCI bundles",
        ".SH SYNOPSIS",
        r".B pyoci",
        r"[\fIglobal options\fR] \fICOMMAND\fR [\fIoptions\fR] [\fIarguments\fR]",
        ".SH DESCRIPTION",
        "A bundle is a directory with a file",
        r"\fIconfig.json\fR and a root file system, as the runtime specification of the",
        "Open Container Initiative describes it.",
        "pyoci makes containers from bundles and manages them. Container engines call it; so can people.",
        ".SH GLOBAL OPTIONS",
        *_manual_options(GLOBALS),
        ".SH COMMANDS",
    ]
    for command in COMMANDS:
        lines += [f".SS {_troff(usage(command).replace(' [global options]', ''))}"]
        lines += [_sentence(command[SUMMARY])]
        lines += [_troff(line) for line in MORE.get(command[NAME], "").splitlines()]
        lines += _manual_options(command[OPTIONS])
    lines += [".SH EXIT STATUS", *_manual_rows(STATUS)]
    lines += [".SH ENVIRONMENT", *_manual_rows(ENVIRONMENT)]
    lines += [
        ".SH FILES",
        *_manual_rows(_FILES),
        ".SH SEE ALSO",
        ".BR runc (8),",
        ".BR crun (1),",
        ".BR namespaces (7),",
        ".BR cgroups (7),",
        ".BR capabilities (7)",
    ]
    return "\n".join(lines) + "\n"


def _manual_options(options: "tuple[Option, ...]") -> list[str]:
    return _manual_rows(tuple(_option_rows(options)))


def _manual_rows(rows: "tuple[tuple[str, str], ...]") -> list[str]:
    lines = []
    for left, right in rows:
        lines += [".TP", rf"\fB{_troff(left)}\fR", _sentence(right)]
    return lines


def _sentence(text: str) -> str:
    return _troff(text[:1].upper() + text[1:] + ".")


def _troff(text: str) -> str:
    """Text that troff takes as it is: no escapes, no requests, hyphens that can be copied."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text[:1] in (".", "'") else text
