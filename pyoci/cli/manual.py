"""The manual page, from the table, in troff's man macros (man(7))."""

from pyoci.cli.table import COMMANDS, GLOBALS, NAME, OPTIONS, SUMMARY
from pyoci.cli.usage import MORE, option_rows, usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cli.table import Option

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


def page() -> str:
    """The manual page pyoci(8)."""
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
        *_options(GLOBALS),
        ".SH COMMANDS",
    ]
    for command in COMMANDS:
        lines += [f".SS {_troff(usage(command).replace(' [global options]', ''))}"]
        lines += [_sentence(command[SUMMARY])]
        lines += [_troff(line) for line in MORE.get(command[NAME], "").splitlines()]
        lines += _options(command[OPTIONS])
    lines += [".SH EXIT STATUS", *_rows(STATUS)]
    lines += [".SH ENVIRONMENT", *_rows(ENVIRONMENT)]
    lines += [
        ".SH FILES",
        *_rows(_FILES),
        ".SH SEE ALSO",
        ".BR runc (8),",
        ".BR crun (1),",
        ".BR namespaces (7),",
        ".BR cgroups (7),",
        ".BR capabilities (7)",
    ]
    return "\n".join(lines) + "\n"


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
