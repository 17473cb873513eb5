"""What belongs to one command, and not to the process: so one process can serve many containers."""

from pyoci.base.log import Log
from pyoci.base.spans import Spans


class Context:
    """One command.

    log    where its warnings and its failure go
    spans  what --trace measures; off until Spans.begin()
    """

    __slots__ = ("log", "spans")

    def __init__(self, log: Log | None = None) -> None:
        self.log = log or Log()
        self.spans = Spans()
