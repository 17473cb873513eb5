"""Documents that the static launcher leaves to an ordinary Python.

One that the fast check refuses is explained by the full checker, which needs it. One with very many members is read there,
with a seed of hashes that no one knows. Either way the bytes that were read are handed over: the document may have come
through a pipe, or may be another one by now.
"""

import posix

from pyoci.base import boot, files, jsontext
from pyoci.base.errors import OciError
from pyoci.spec.problem import RefusedDocument

_EXPLAIN = "--explain-refused-document"
_RUN = "--run-with-document"


def explained(refused: RefusedDocument, argv: list[str]) -> OciError:
    """The error that says what is wrong with the document, and where. From the static launcher this does not return.

    argv is the command line without the program's name.
    """
    why = f"{refused.name} is refused, but why is not known"
    if boot.is_static():
        _go_full([_EXPLAIN, _passed(refused.raw), refused.kind, refused.name, *argv], why)
    boot.go_full(argv)
    from pyoci.validate import explain

    return explain.refusal(refused.raw, refused.name, kind=refused.kind)


def hand_over(document: jsontext.ManyMembers, argv: list[str]) -> None:
    """Run the command line in an ordinary interpreter, with the document where that may be read but once. Does not return."""
    _go_full(
        [_RUN, _passed(document.raw), *argv] if document.raw else argv, "a document has very many members"
    )


def _go_full(argv: list[str], why: str) -> None:
    """As boot.go_full. Where there is no interpreter, the error begins with why there has to be one."""
    try:
        boot.go_full(argv)
    except OciError as error:
        error.message = f"{why}: {error.message}"
        raise


def _passed(raw: bytes) -> str:
    """The number of a descriptor that the next program can read a document from."""
    fd = posix.memfd_create("document", 0)
    files.write_all(fd, raw)
    return str(fd)


def received(argv: list[str]) -> tuple[list[str], RefusedDocument | None, bytes]:
    """The command line, the document that explained() has handed over with it, if any, and that of hand_over(), or b""."""
    if argv[:1] == [_EXPLAIN]:
        return argv[4:], RefusedDocument(_handed_over(argv[1]), argv[3], argv[2]), b""
    if argv[:1] == [_RUN]:
        return argv[2:], None, _handed_over(argv[1])
    return argv, None, b""


def _handed_over(number: str) -> bytes:
    fd = int(number)
    posix.lseek(fd, 0, 0)
    raw = files.read_fd(fd)
    files.close(fd)
    return raw
