"""What help and the manual pages say of the commands, beside the table."""

from pyoci.cli.table import FLAG, HELP, KIND, NAME, NAMES, OPTIONS, USAGE, VALUE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.table import Command, Option

GROUPS = (
    ("A container's life", ("create", "start", "run", "exec", "kill", "delete")),
    ("Looking at containers", ("state", "list", "ps")),
    ("Changing running containers", ("pause", "resume", "update")),
    ("Writing and checking bundles", ("spec", "validate", "plan", "seccomp record", "seccomp check")),
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
    "seccomp check": """\
PROFILE is linux.seccomp of a config.json as a file of its own, a config.json or its bundle's directory, a
profile in docker's form, or - for standard input; FILE, too. The exit status is 0 when PROFILE allows nothing
beyond docker's default profile, or that in FILE, 1 when it does, 2 for errors.""",
    "plan": """\
Nothing is executed: no privileges are needed. A step that a field of config.json asks for names that field.""",
    "seccomp record": """\
The exit status is that of the container's process; there is a profile whatever it is. The container is
not confined by a seccomp filter meanwhile: record programs that you trust.""",
    "spec": "An existing file is not overwritten.",
    "completion": """\
For bash: eval "$(pyoci completion bash)", or save the script where the shell looks for completions.""",
}


def usage(command: "Command") -> str:
    """How a command is called, in one line."""
    options = " [options]" if any(option[HELP] for option in command[OPTIONS]) else ""
    return f"pyoci [global options] {command[NAME]}{options} {command[USAGE]}".rstrip()


def spellings(option: "Option") -> str:
    """An option as help shows it: "-b, --bundle DIR"."""
    names = sorted(option[NAMES], key=len)
    text = ", ".join(("-" if len(name) == 1 else "--") + name for name in names)
    return text if option[KIND] == FLAG else f"{text} {option[VALUE]}"


def option_rows(options: "tuple[Option, ...]") -> list[tuple[str, str]]:
    """What help shows of options: how they are spelt, and what they do."""
    return [(spellings(option), option[HELP]) for option in options if option[HELP]]
