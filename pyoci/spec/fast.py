"""Is a document accepted? Yes or no, in microseconds; `pyoci.validate.explain` says why not."""

from pyoci import _generated
from pyoci.base import jsontext

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyoci.spec.spec_types import Process, Resources, Spec


_SURROGATES = 0xD800 >> 11  # U+D800 to U+DFFF


def load(raw: bytes) -> "Spec | None":
    """A config.json that is sound as a text and accepted by the schema; None for any other."""
    spec: Spec | None = _load(raw, accepts)
    return spec


def load_process(raw: bytes) -> "Process | None":
    """The same for a process object, as `exec --process` reads it."""
    process: Process | None = _load(raw, accepts_process)
    return process


def load_resources(raw: bytes) -> "Resources | None":
    """The same for the value of linux.resources, as `update --resources` reads it."""
    resources: Resources | None = _load(raw, accepts_resources)
    return resources


def _load(raw: bytes, test: "Callable[[object], bool]") -> "Any":
    try:
        value = jsontext.loads(raw, unique=True)
    except ValueError:
        return None
    return value if test(value) and is_text(raw, value) else None


def accepts(spec: object) -> bool:
    """Whether the schema accepts a config.json.

    Members whose value is null count as absent, as they do for the Go and C runtimes; where they are what the
    schema stumbles over they are removed from `spec`, so that no later reader meets them.
    """
    return _generated.config(spec) or (drop_nulls(spec) and _generated.config(spec))


def accepts_process(process: object) -> bool:
    """Whether the schema accepts a process object, as `exec --process` reads it; null members as above."""
    return _generated.process(process) or (drop_nulls(process) and _generated.process(process))


def accepts_resources(resources: object) -> bool:
    """Whether the schema accepts the value of linux.resources; null members as above."""
    return _generated.resources(resources) or (drop_nulls(resources) and _generated.resources(resources))


def drop_nulls(value: object) -> bool:
    """Remove the members with value null from all objects below; whether there were any."""
    found = False
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if type(node) is dict:
            for key in [key for key, item in node.items() if item is None]:
                del node[key]
                found = True
            waiting.extend(node.values())
        elif type(node) is list:
            waiting.extend(node)
    return found


def is_text(raw: bytes, spec: object) -> bool:
    """Whether all texts of a document can be written as UTF-8: JSON can escape halves of surrogate pairs.

    raw is the document as it was read; only where it has such escapes are the texts looked at.
    """
    if b"\\ud" not in raw and b"\\uD" not in raw:
        return True
    waiting = [spec]
    while waiting:
        node = waiting.pop()
        if type(node) is str:
            # not by encode(): to refuse one it wants the module codecs, which the core-only interpreter has not
            if not node.isascii() and any(ord(sign) >> 11 == _SURROGATES for sign in node):
                return False
        elif type(node) is dict:
            waiting.extend(node)
            waiting.extend(node.values())
        elif type(node) is list:
            waiting.extend(node)
    return True
