"""The manual pages, from the table, in troff's man macros (man(7))."""

import pyoci
from pyoci.cli.parse import find, group, groups
from pyoci.cli.table import COMMANDS, GLOBALS, HELP_OPTION, NAME, OPTIONS, SUMMARY
from pyoci.cli.usage import GROUPS, MORE, option_rows, usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.table import Command, Option

STATUS = (
    ("0", "success; for run and exec in the foreground: the process ended with 0"),
    (
        "1",
        "failure, wrong command line; validate: an error; doctor: containers do not run; seccomp check: more is allowed",
    ),
    ("2", "seccomp check could not compare"),
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
        "NOTIFY_SOCKET",
        "the service manager that is told when the container's program is ready (sd_notify(3))",
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


def pages() -> dict[str, str]:
    """Every manual page by the name of its file: pyoci(1), and one for each command and group, such as pyoci-create(1)."""
    found = {f"{_page_name(command[NAME])}.1": command_page(command) for command in COMMANDS}
    return {"pyoci.1": page(), **found, **{f"{_page_name(name)}.1": group_page(name) for name in groups()}}


def _page_name(command: str) -> str:
    return f"pyoci-{command.replace(' ', '-')}"


def page() -> str:
    """The manual page pyoci(1)."""
    lines = [
        *_title("pyoci", "run containers from OCI bundles"),
        ".SH SYNOPSIS",
        r".B pyoci",
        r"[\fIglobal options\fR] \fICOMMAND\fR [\fIoptions\fR] [\fIarguments\fR]",
        ".SH DESCRIPTION",
        "A bundle is a directory with a file",
        r"\fIconfig.json\fR and a root file system, as the runtime specification of the",
        "Open Container Initiative describes it.",
        "pyoci makes containers from bundles and manages them. Container engines call it; so can people.",
        ".SH COMMANDS",
        "Each has a page of its own, such as",
        r".BR pyoci\-create (1).",
    ]
    for title, names in GROUPS:
        lines += [f".SS {_troff(title)}"]
        lines += _rows(tuple((name, find(name)[SUMMARY]) for name in names))
    lines += [".SH GLOBAL OPTIONS", "They go before the command.", *_options(GLOBALS)]
    lines += [".SH EXIT STATUS", *_rows(STATUS)]
    lines += [".SH ENVIRONMENT", *_rows(ENVIRONMENT)]
    lines += [".SH FILES", *_rows(_FILES)]
    others = ["runc (8)", "crun (1)", "namespaces (7)", "cgroups (7)", "capabilities (7)"]
    lines += _see_also([*(f"{_page_name(command[NAME])} (1)" for command in COMMANDS), *others])
    return "\n".join(lines) + "\n"


def command_page(command: "Command") -> str:
    """The manual page of a command."""
    name = command[NAME]
    lines = [
        *_title(_page_name(name), command[SUMMARY]),
        ".SH SYNOPSIS",
        rf".B {_troff(usage(command))}",
        ".SH DESCRIPTION",
        _sentence(command[SUMMARY]),
        *(_troff(line) for line in MORE.get(name, "").splitlines()),
        ".SH OPTIONS",
        *_options((*command[OPTIONS], HELP_OPTION)),
        ".PP",
        "Global options, exit status, environment and files:",
        ".BR pyoci (1).",
    ]
    related = next(names for _, names in GROUPS if name in names)
    lines += _see_also(["pyoci (1)", *(f"{_page_name(other)} (1)" for other in related if other != name)])
    return "\n".join(lines) + "\n"


def group_page(name: str) -> str:
    """The manual page of a group of commands."""
    members = group(name)
    lines = [
        *_title(_page_name(name), " and ".join(command[NAME] for command in members)),
        ".SH COMMANDS",
        *_rows(tuple((usage(command), command[SUMMARY]) for command in members)),
    ]
    lines += _see_also(["pyoci (1)", *(f"{_page_name(command[NAME])} (1)" for command in members)])
    return "\n".join(lines) + "\n"


def _title(name: str, summary: str) -> list[str]:
    title = f'.TH {name.upper()} 1 "" "pyoci {pyoci.__version__}" "User Commands"'
    return [title, ".SH NAME", rf"{_troff(name)} \- {_troff(summary)}"]


def _see_also(names: list[str]) -> list[str]:
    return [".SH SEE ALSO", *(f".BR {_troff(name)}," for name in names[:-1]), f".BR {_troff(names[-1])}"]


def _options(options: "tuple[Option, ...]") -> list[str]:
    return _rows(tuple(option_rows(options)))


def _rows(rows: "tuple[tuple[str, str], ...]") -> list[str]:
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
