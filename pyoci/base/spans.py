"""The steps of the runtime: spans for --trace, with how long each step takes, and lines of the log for --debug.

Switched off, which they are without these options, a step costs a method call and two comparisons.
"""

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Span:
    """One step of the runtime, or a part of a step.

    name, pointer  what was done, and the JSON pointer of its cause or ""
    kind           "runtime" for a step, "cgroup" or "hook" for a part of one, "idle" where it waited for the world outside
    began, ended   nanoseconds of CLOCK_REALTIME: the clock of the container's init too, which a time namespace does not shift
    worked         the CPU time that this process, which has one thread, had used at the beginning and at the end, in
                   nanoseconds; None for a part of a step
    """

    __slots__ = ("name", "pointer", "kind", "began", "ended", "worked")

    def __init__(
        self, name: str, pointer: str, kind: str, began: int, ended: int, worked: tuple[int, int] | None
    ) -> None:
        self.name = name
        self.pointer = pointer
        self.kind = kind
        self.began = began
        self.ended = ended
        self.worked = worked


class Spans:
    """The spans of one command. `measured` is None until begin(); `report`, if any, gets name and pointer of each step."""

    __slots__ = ("measured", "report", "_last", "_worked")

    def __init__(self) -> None:
        self.measured: list[Span] | None = None
        self.report: Callable[[str, str], None] | None = None
        self._last = 0
        self._worked = 0

    def begin(self) -> None:
        """Switch on. The first span is what the process did so far: as long as the CPU time that it has used."""
        self.measured = []
        self._last = time.time_ns() - time.process_time_ns()
        self._worked = 0
        self.lap("start of the runtime")

    def now(self) -> int:
        """The time in nanoseconds, 0 when switched off."""
        return 0 if self.measured is None else time.time_ns()

    def lap(self, name: str, pointer: str = "", kind: str = "runtime") -> None:
        """A step ends now; it began when the one before it ended."""
        if self.report is not None:
            self.report(name, pointer)
        if self.measured is not None:
            ended, worked = time.time_ns(), time.process_time_ns()
            self.measured.append(Span(name, pointer, kind, self._last, ended, (self._worked, worked)))
            self._last, self._worked = ended, worked

    def within(self, began: int, name: str, pointer: str = "", kind: str = "runtime") -> None:
        """A part of the present step ends now; `began` is what now() returned at its beginning."""
        if self.report is not None:
            self.report(name, pointer)
        if self.measured is not None:
            self.measured.append(Span(name, pointer, kind, began, time.time_ns(), None))
