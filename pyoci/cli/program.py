"""The process of a command, from its arguments to its exit status: what every launcher runs."""

import posix
import sys

from pyoci.base import boot
from pyoci.base.context import Context
from pyoci.base.errors import from_os_error
from pyoci.cli.entry import main

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.problem import RefusedDocument


def run(argv: list[str], refused: "RefusedDocument | None" = None, document: bytes = b"") -> None:
    """Run a command line and end the process with its status. Does not return.

    refused   the document that this command line came upon in another interpreter, to be explained in place of running it
    document  the one that it came upon there, to be run

    The process ends by _exit: tearing an interpreter down costs more than a container's whole start.
    """
    context = Context(document=document)
    status = 1
    try:
        status = main(context, argv, refused)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except KeyboardInterrupt:
        status = 130
    except BaseException as bug:
        boot.report(bug)
    failure = flush()
    if failure:
        context.log.failure(from_os_error("output", "write to standard output", failure))
        status = status or 1
    posix._exit(status & 255)


def flush() -> OSError | None:
    """Write out what the standard streams hold, where there are any; returns the failure, if that failed."""
    failure = None
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name, None)
        if stream is not None:
            try:
                stream.flush()
            except OSError as error:
                failure = failure or error
            except ValueError:  # closed
                continue
    return failure
