"""Resource limits that only a privilege of the host can raise (prlimit(2))."""

from pyoci._shim import lib
from pyoci.spec.rlimits import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Process


def raise_hard(pid: int, process: "Process") -> None:
    """Raise the hard limits of a process in a user namespace, which has no privilege to do so, to those of `process`.

    Where we have none either nothing is done: the process itself then reports its failure.
    """
    for limit in process.get("rlimits") or ():
        lib.pyoci_raise_limit(pid, NUMBERS[limit["type"]], limit["hard"])
