"""A document on its way from a file to something that can be run: read, accepted by the schema, free of problems."""

from pyoci.base import files, jsontext
from pyoci.base.errors import OciError, from_os_error
from pyoci.spec import LARGEST
from pyoci.spec.problem import Problem, RefusedDocument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Document = TypeVar("Document")


def read_document(
    code: str, what: str, path: str, *, dir_fd: int | None = None, where: str = "", missing: str = ""
) -> bytes:
    """The bytes of a document in a file. Raises OciError.

    code     of the error
    what     begins its message
    path     the file, or "" for standard input
    where    the document for machines, if that is not `path`
    missing  the hint for a file that does not exist
    """
    where = where or path
    try:
        raw = files.read(path, dir_fd=dir_fd, limit=LARGEST) if path else files.read_fd(0, LARGEST)
    except OSError as error:
        hint = missing if isinstance(error, FileNotFoundError) else ""
        raise from_os_error(code, what, error, obj=where, hint=hint) from None
    if len(raw) > LARGEST:
        raise OciError(code, f"{what} is larger than {LARGEST >> 20} MiB", obj=where)
    return raw


def accepted(load: "Callable[[bytes], Document | None]", raw: bytes, name: str, kind: str) -> "Document":
    """What a function of `spec.fast` makes of these bytes. Raises RefusedDocument where the schema refuses them, ManyMembers."""
    try:
        document = load(raw)
    except jsontext.ManyMembers as many:
        many.raw = raw
        raise
    if document is None:
        raise RefusedDocument(raw, name, kind)
    return document


def raise_first(name: str, problems: list[Problem]) -> None:
    """Raise OciError for the first problem, if there is one: line and column, and the rest, are what `validate` is for."""
    if not problems:
        return
    problem = problems[0]
    hints = [problem.hint, f"expected {problem.expected}" if problem.expected else ""]
    raise OciError(
        problem.code,
        f"{name}: {problem.pointer}: {problem.message}",
        pointer=problem.pointer,
        obj=name,
        hint="; ".join([hint for hint in hints if hint])
        or "run `pyoci validate` to see the place and all other problems",
    )
