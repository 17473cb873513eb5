"""The stopwatch of --trace: what the runtime does, step by step, and how long each takes.

Off, which it is unless --trace is given, a step costs a function call and a comparison.
"""

import time

# What was measured: (name, JSON pointer, kind, began, ended, worked). Times are nanoseconds of CLOCK_REALTIME: the clock of the
# container's init too, which a time namespace does not shift. `worked` is the CPU time that this process, which has one thread,
# had used when the step began and when it ended, in nanoseconds; None for a part of a step. None: off.
steps: "list[tuple[str, str, str, int, int, tuple[int, int] | None]] | None" = None
_last = 0
_worked = 0


def begin() -> None:
    """Switch on. The first step is what the process did so far, which is taken to be as long as the CPU time it used."""
    global steps, _last, _worked
    steps = []
    _last = time.time_ns() - time.process_time_ns()
    _worked = 0
    lap("start of the runtime")


def now() -> int:
    """The time, 0 when switched off."""
    return 0 if steps is None else time.time_ns()


def lap(name: str, pointer: str = "", kind: str = "runtime") -> None:
    """A step ends now; it began when the one before it ended. Its kind is "idle" when it waited for the world outside."""
    global _last, _worked
    if steps is not None:
        ended, worked = time.time_ns(), time.process_time_ns()
        steps.append((name, pointer, kind, _last, ended, (_worked, worked)))
        _last, _worked = ended, worked


def within(began: int, name: str, pointer: str = "", kind: str = "runtime") -> None:
    """A part of the step under way ends now; `began` is what now() said at its beginning, `kind` "hook" or "cgroup"."""
    if steps is not None:
        steps.append((name, pointer, kind, began, time.time_ns(), None))
