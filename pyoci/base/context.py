"""What belongs to one command, and not to the process: so one process can serve many containers."""

from pyoci.base.log import Log
from pyoci.base.spans import Spans


class Context:
    """One command.

    log         where its warnings and its failure go
    spans       what --trace measures; off until Spans.begin()
    root_given  ROOT was named by --root, and is not the default
    roots       each ROOT that was judged, with the directory that others may write to (lifecycle.permissions.of_root)
    document    the configuration or process object that another interpreter has read for this command line, or b""
    """

    __slots__ = ("document", "log", "spans", "root_given", "roots")

    def __init__(self, log: Log | None = None, document: bytes = b"") -> None:
        self.log = log or Log()
        self.spans = Spans()
        self.root_given = False
        self.roots: dict[str, tuple[str, str, str] | None] = {}
        self.document = document
