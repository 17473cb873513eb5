"""The state document (runtime.md, State): what `state` prints and what hooks read on standard input."""

from pyoci.base import jsontext
from pyoci.spec.versions import SPECIFICATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.lifecycle.record import Record
    from pyoci.lifecycle.store import Entry

_PLACE = "\x00pid\x00"


def document(record: "Record", status: str, pid: int) -> bytes:
    """The document for hooks as JSON. `pid` 0 leaves the pid out."""
    return jsontext.dumps(values(record, status, pid)).encode()


def halves(record: "Record", status: str) -> tuple[bytes, bytes]:
    """The document before and after the pid, for a process that sees its pid otherwise than we do."""
    before, _, after = jsontext.dumps(values(record, status, _PLACE)).partition(jsontext.dumps(_PLACE))
    return before.encode(), after.encode()


def values(record: "Record", status: str, pid: int | str) -> dict[str, object]:
    """The members of the document."""
    found: dict[str, object] = {"ociVersion": SPECIFICATION, "id": record.id, "status": status}
    if pid:
        found["pid"] = pid
    found["bundle"] = record.bundle
    found["annotations"] = record.annotations
    return found


def full(entry: "Entry") -> dict[str, object]:
    """What `state` prints: the specification's members and those that runc adds; pid is 0 for a stopped container."""
    record = entry.record
    status = entry.status()
    found: dict[str, object] = {
        "ociVersion": SPECIFICATION,
        "id": entry.id,
        "pid": 0 if status in ("stopped", "creating") else record.pid,
        "status": status,
        "bundle": record.bundle,
        "rootfs": record.rootfs,
        "created": record.created,
    }
    if record.annotations:
        found["annotations"] = record.annotations
    found["owner"] = ""
    return found
