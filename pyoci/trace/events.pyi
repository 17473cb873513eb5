# What is in a trace file (docs/trace.md), for the type checker alone.
from typing import Literal, NotRequired, TypedDict

class Event(TypedDict):
    name: str
    ph: Literal["X", "M"]  # a complete event; the name of a process
    pid: int
    tid: int
    args: dict[str, str]
    cat: NotRequired[str]  # this and what follows: of complete events
    ts: NotRequired[float]
    dur: NotRequired[float]
    tts: NotRequired[float]
    tdur: NotRequired[float]

class OtherData(TypedDict, total=False):
    began: int
    id: str

class Document(TypedDict):
    displayTimeUnit: str
    otherData: OtherData
    traceEvents: list[Event]
