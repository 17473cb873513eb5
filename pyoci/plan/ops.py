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
             "deep-idmapped-tree", each of them "inner-" when its path is one of the container's tree and
             "link-" when that of a link itself is meant, a "namespace" (type,
             path, pointer), a "hook-output" (annotation, path), a "cgroup" file, a "fifo", a "pidfd", the container's "root"
    """

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.passed: list[tuple[str | int | bool, ...]] = []
        self._cuts: list[tuple[int, int]] = []  # how many ops and descriptors come before each cut

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
        register: int = lib.REG_PASSED + self.carried()
        self.passed.append(what)
        return register

    def carried(self) -> int:
        """How many descriptors travel with the last piece of this plan."""
        return len(self.passed) - (self._cuts[-1][1] if self._cuts else 0)

    def cut(self) -> None:
        """What is added from now on is another piece: it is sent, with its descriptors, when all before it is done."""
        self._cuts.append((len(self.ops), len(self.passed)))

    def pieces(self) -> "list[Plan]":
        """The plans to send one after the other; this one where it was not cut."""
        if not self._cuts:
            return [self]
        found, ends = [], [*self._cuts, (len(self.ops), len(self.passed))]
        first_op = first_passed = 0
        for last_op, last_passed in ends:
            piece = Plan()
            piece.ops, piece.passed = self.ops[first_op:last_op], self.passed[first_passed:last_passed]
            found.append(piece)
            first_op, first_passed = last_op, last_passed
        return found

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
