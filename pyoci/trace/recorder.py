"""Where the time went: the file that --trace asks for, in the form that Perfetto and Chrome's about:tracing read.

Every step of the runtime and every op of the container's init is one complete event ("ph": "X"). Its `cat` says what it is:

    runtime, cgroup, hook   a step of the runtime, a cgroup file it wrote, a hook (those that the init runs too)
    op                      an op of the plan, with its name and the JSON pointer of its cause in `args`
    idle                    a wait for the world outside: for `start`, for the end of the program

Times are microseconds since `otherData.began`, which is nanoseconds since the epoch. A step of the runtime, but not its parts,
has also `tts` and `tdur`: the CPU time that the process had used when the step began, and what the step used, in microseconds.
"""

import posix
import stat

from pyoci.base import files, jsontext
from pyoci.base.errors import OciError, from_os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci._ops import Op
    from pyoci.base.context import Context
    from pyoci.trace.events import Document, Event, OtherData

_LARGEST = 64 << 20
_IDLE = ("ready", "wait_start")


class Trace:
    """What one command measures, and the file that it goes to. The runtime's own steps are the context's spans.

    path   of the file, absolute
    """

    def __init__(self, context: "Context", path: str, command: str, id: str) -> None:
        self.path = path
        self._log = context.log
        self._spans = context.spans
        self._command = command
        self._id = id
        self._base = self._spans.measured[0].began if self._spans.measured else 0
        self._earlier: list[Event] = []
        self._pid = 0  # of the init
        self._since = 0  # up to when it is known what the init did
        # name, kind, pid, nanoseconds when it began and ended, what else there is to say
        self._ops: list[tuple[str, str, int, int, int, dict[str, str]]] = []

    # -- what the init does --------------------------------------------------------------------------------------------

    def init_started(self, pid: int) -> None:
        """The init has been started just now."""
        self._pid, self._since = pid, self._spans.now()

    def init_forked(self, pid: int) -> None:
        """A child goes on in the init's place."""
        self._pid = pid

    def ops_ended(self, plan: str, ops: "list[Op]", first: int, times: list[int]) -> None:
        """ops[first] of a plan began at times[0]; it and those after it ended at the times that follow (nanoseconds)."""
        if self._since and not self._ops:
            self._ops.append(("start of the init", "op", self._pid, self._since, times[0], {}))
        for index, ended in enumerate(times[1:]):
            self._add(plan, [ops[first + index]], times[index], ended)
        self._since = times[-1]

    def op_failed(self, plan: str, op: "Op") -> None:
        """An op has failed just now; those before it are recorded, unless a filter that notifies is in force."""
        now = self._spans.now()
        self._add(plan, [op], self._since or now, now)

    def program_started(self, plan: str, ops: "list[Op]") -> None:
        """The program has begun just now. The init cannot report the filter and the ops after it: they are one event."""
        filters = [index for index, op in enumerate(ops) if op.name.startswith("seccomp")]
        self._add(plan, ops[filters[0] if filters else -1 :], self._since, self._spans.now())

    def _add(self, plan: str, ops: "list[Op]", began: int, ended: int) -> None:
        last = ops[-1]
        kind = "idle" if last.name in _IDLE else "hook" if last.name == "hook" else "op"
        args = {
            "pointer": last.pointer,
            "op": ", ".join([op.name for op in ops]),
            "plan": plan,
        }
        self._ops.append((", ".join([op.about for op in ops]), kind, self._pid, began, ended, args))

    # -- the file ------------------------------------------------------------------------------------------------------

    def resume(self, pid: int) -> None:
        """Go on with the file of the `create` whose init, `pid`, waits.

        The record names it, which may be damaged: a file that is not this container's trace is left as it is.
        """
        self._pid = pid
        try:
            _refuse_special(self.path)
            document = read(self.path)
            self._base, self._earlier = document["otherData"]["began"], document["traceEvents"]
            ours = document["otherData"]["id"] == self._id
        except (OSError, ValueError, KeyError, TypeError, OciError):
            ours = False
        if not ours:
            message = f"trace file {self.path} is not of this container's create: nothing is added to it"
            self._log.warning(message, code="trace-file")
            self.path = ""

    def save(self) -> None:
        """Write all that was measured so far. A failure is only logged: the container is there."""
        if not self.path:
            return
        own = posix.getpid()
        events = [*self._earlier, _title(own, f"pyoci {self._command}")]
        for span in self._spans.measured or ():
            event = self._event(span.name, span.kind, own, span.began, span.ended, {"pointer": span.pointer})
            if span.worked:
                event["tts"], event["tdur"] = span.worked[0] / 1000, (span.worked[1] - span.worked[0]) / 1000
            events.append(event)
        if self._ops:
            events.append(_title(self._pid, f"init of {self._id}"))
        events += [self._event(*op) for op in self._ops]
        try:
            _write(self.path, {"began": self._base, "id": self._id}, events)
        except OSError as error:
            self._log.warning(_unwritable(self.path, error).text(), code="trace-file")

    def _event(self, name: str, kind: str, pid: int, began: int, ended: int, args: dict[str, str]) -> "Event":
        return {
            "name": name,
            "cat": kind,
            "ph": "X",
            "ts": (began - self._base) / 1000,
            "dur": max(ended - began, 0) / 1000,
            "pid": pid,
            "tid": pid,
            "args": {key: value for key, value in args.items() if value},
        }


def begin(context: "Context", path: str, command: str, id: str) -> Trace:
    """Start to measure a command. Raises OciError where its file can't be written."""
    context.spans.begin()
    try:
        if not path.startswith("/"):
            path = f"{posix.getcwd()}/{path}"
        _refuse_special(path)
        _write(path, {}, [])
    except OSError as error:
        raise _unwritable(path, error) from None
    context.spans.lap("trace file")
    return Trace(context, path, command, id)


def begin_start(context: "Context", path: str, id: str, pid: int) -> Trace:
    """Start to measure `start`, whose times go into the file of `create`."""
    context.spans.begin()
    trace = Trace(context, path, "start", id)
    trace.resume(pid)
    return trace


def _refuse_special(path: str) -> None:
    """The file takes the place of an older one, which must be no device and no link such as /dev/stdout. Raises OciError."""
    try:
        mode = posix.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise OciError("trace-file", f"trace file {path} exists and is not a regular file", obj=path)


def _unwritable(path: str, error: OSError) -> OciError:
    return from_os_error("trace-file", f"trace file {path}", error, obj=path)


def _title(pid: int, name: str) -> "Event":
    return {"name": "process_name", "ph": "M", "pid": pid, "tid": pid, "args": {"name": name}}


def _write(path: str, about: "OtherData", events: "list[Event]") -> None:
    """One event on a line, so that it can be read and searched. Raises OSError."""
    head = f'{{"displayTimeUnit":"ms","otherData":{jsontext.dumps(about)},"traceEvents":[\n'
    rows = ",\n".join([jsontext.dumps(event) for event in events])
    files.put(path, f"{head}{rows}\n]}}\n".encode(), 0o644)


def read(path: str) -> "Document":
    """A trace file. Raises OSError, ValueError."""
    raw = files.read(path, limit=_LARGEST)
    if len(raw) > _LARGEST:
        raise ValueError("too large")
    document: Document = jsontext.loads(raw)
    return document
