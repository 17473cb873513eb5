"""The plan: a list of ops (csrc/ops.def), each with the JSON pointer of its cause."""

from pyoci import _ops
from pyoci._shim import lib
from pyoci.base.errors import OciError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci._ops import Op


class Plan:
    """Ops in the order of their execution, and what has to travel with them as descriptors.

    passed   a description of each descriptor that goes along, in the order of the registers from REG_PASSED up:
             (kind, what it is of ...): a "tree" (host path, recursive, pointer, about), an "idmapped-tree", a
             "deep-idmapped-tree", a "namespace" (type, path, pointer), a "cgroup" file, a "fifo", a "pidfd"
    """

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.passed: list[tuple[str | int | bool, ...]] = []

    def add(self, op: "Op", pointer: str = "", about: str = "") -> None:
        """Append an op.

        pointer  JSON pointer of the config.json property that asked for it, "" where no single one did
        about    what an error message calls it: "tmpfs on /dev/shm"
        """
        op.pointer = pointer
        op.about = about
        self.ops.append(op)

    def carry(self, *what: str | int | bool) -> int:
        """Ask for a descriptor to travel with the plan; returns its register."""
        self.passed.append(what)
        register: int = lib.REG_PASSED + len(self.passed) - 1
        return register

    def room(self) -> int:
        """How many more descriptors may travel with this plan."""
        room: int = lib.PLAN_MAX_FDS - len(self.passed)
        return room

    def encode(self, *, timed: bool = False) -> bytes:
        """The bytes that the init reads. Raises OciError for a NUL in a string, and for more than the init takes."""
        try:
            data = _ops.encode(self.ops, lib.PLAN_TIMED if timed else 0)
        except ValueError as error:
            index, words = error.args
            op = self.ops[index]
            raise OciError("config", f"{op.about or op.name}: {words}", pointer=op.pointer) from None
        if len(data) > lib.PLAN_MAX_SIZE or len(self.ops) > lib.PLAN_MAX_OPS:
            size = f"{len(self.ops)} steps of {len(data)} bytes"
            raise OciError("config", f"the configuration is too large: it compiles to {size}")
        return data
