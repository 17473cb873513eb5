"""What a waiting init says to `start`, through the failure fifo: nothing when its program runs, else why it does not."""

from pyoci._ops import Op
from pyoci._shim import lib
from pyoci.base.errors import OciError
from pyoci.init import protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.log import Log
    from pyoci.plan.ops import Plan
    from pyoci.trace.recorder import Trace


def late_ops(plan: "Plan") -> "list[list[int | str]]":
    """What `start` has to know of the ops from the wait on: [index, name, pointer, about] each."""
    first = [op.name for op in plan.ops].index("wait_start")
    return [[index, op.name, op.pointer, op.about] for index, op in enumerate(plan.ops) if index >= first]


def _ops(late: "list[list[int | str]]") -> list[Op]:
    """The ops that late_ops() has written down."""
    return [Op(name if isinstance(name, str) else "", str(at), str(about)) for _, name, at, about in late]


def log(log: "Log", late: "list[list[int | str]]") -> None:
    """A line for each of them, when all are done, for --debug."""
    from pyoci.init.process import log_ops

    log_ops(log, _ops(late))


def read(data: bytes, late: "list[list[int | str]]", trace: "Trace | None") -> OciError | None:
    """What the init wrote into the failure fifo until its program ran: an error, or None. `late` is from late_ops().

    The record of a version before 0.2 has a number for the name, which means nothing any more. Raises OciError for what can't
    be an answer.
    """
    ops = [Op("ready", "", "ready")] * int(late[0][0] if late else 0) + _ops(late)
    for found in protocol.parse(data):
        if found.kind == lib.REPLY_ERROR:
            return _failure(ops, found, trace)
        if found.kind == lib.REPLY_TIMES and trace:
            trace.ops_ended("finish", ops, found.op, protocol.times(found, ops))
    if trace:
        trace.program_started("finish", ops)
    return None


def _failure(ops: list[Op], found: "protocol.Reply", trace: "Trace | None") -> OciError:
    from pyoci.plan import failure

    op = protocol.failed_op(found, ops)
    if trace:
        trace.op_failed("finish", op)
    return failure.explain(op, found.error, found.step, found.object())
