"""A document that the fast check refuses is explained by the full checker, which needs an ordinary Python.

The static launcher has to execute that one. It hands over the bytes that were read: the document may have come through a pipe,
or may be another one by now.
"""

import posix

from pyoci.base import boot, files
from pyoci.spec.problem import RefusedDocument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.errors import OciError

_WORD = "--explain-refused-document"


def explained(refused: RefusedDocument, argv: list[str]) -> "OciError":
    """The error that says what is wrong with the document, and where. From the static launcher this does not return.

    argv is the command line without the program's name.
    """
    if boot.is_static():
        fd = posix.memfd_create("refused", 0)
        files.write_all(fd, refused.raw)
        boot.go_full([_WORD, str(fd), refused.kind, refused.name, *argv])
    boot.go_full(argv)
    from pyoci.validate import explain

    return explain.refusal(refused.raw, refused.name, kind=refused.kind)


def received(argv: list[str]) -> tuple[list[str], RefusedDocument | None]:
    """The command line, and the document that explained() has handed over with it, if any."""
    if argv[:1] != [_WORD]:
        return argv, None
    fd, kind, name = int(argv[1]), argv[2], argv[3]
    posix.lseek(fd, 0, 0)
    return argv[4:], RefusedDocument(files.read_fd(fd), name, kind)
