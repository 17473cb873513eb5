"""JSON pointers (RFC 6901), which say where in a document something stands."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def escape(name: str) -> str:
    """A member's name as one step of a pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def join(path: "Iterable[str | int]") -> str:
    """The pointer made of names and indexes."""
    return "".join([f"/{escape(str(step))}" for step in path])


def split(pointer: str) -> list[str]:
    """The names and indexes that a pointer is made of."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
