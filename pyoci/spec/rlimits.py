"""Resource limits (config.md, POSIX process; getrlimit(2)), and those that only a privilege of the host can raise."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NUMBERS: dict[str, int] = {
    "RLIMIT_CPU": 0,
    "RLIMIT_FSIZE": 1,
    "RLIMIT_DATA": 2,
    "RLIMIT_STACK": 3,
    "RLIMIT_CORE": 4,
    "RLIMIT_RSS": 5,
    "RLIMIT_NPROC": 6,
    "RLIMIT_NOFILE": 7,
    "RLIMIT_MEMLOCK": 8,
    "RLIMIT_AS": 9,
    "RLIMIT_LOCKS": 10,
    "RLIMIT_SIGPENDING": 11,
    "RLIMIT_MSGQUEUE": 12,
    "RLIMIT_NICE": 13,
    "RLIMIT_RTPRIO": 14,
    "RLIMIT_RTTIME": 15,
}


def raise_hard(pid: int, process: "dict[str, Any]") -> None:
    """Raise the hard limits of a process in a user namespace, which has no privilege to do so, to those of `process`.

    Where we have none either nothing is done: the process itself then tells of its failure.
    """
    from pyoci._shim import lib

    for limit in process.get("rlimits") or ():
        lib.pyoci_raise_limit(pid, NUMBERS[limit["type"]], limit["hard"])
