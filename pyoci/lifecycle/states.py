"""state and list: what is known of one container, and of all below ROOT."""

import posix

from pyoci.base.errors import OciError
from pyoci.lifecycle import permissions, store
from pyoci.lifecycle.state_document import full

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context


def state(context: "Context", root: str, id: str) -> dict[str, object]:
    """`state`: the container's state document. Raises OciError."""
    entry = store.open(context, root, id, lock=False, acts=False)
    try:
        return full(entry)
    finally:
        entry.close()


def list_states(context: "Context", root: str) -> list[dict[str, object]]:
    """`list`: the state documents of all containers; one that can't be read is logged and left out.

    Raises OciError where ROOT can't be read, or procfs, without which none of the states is known.
    """
    permissions.check_root(context, root, acts=False)
    found = []
    for id in store.ids(root):
        try:
            found.append({**state(context, root, id), "owner": _owner(f"{root}/{id}")})
        except OciError as error:
            if error.code == "proc-read":
                raise
            if error.code not in ("not-found", "invalid-id"):
                context.log.warning(error.text(), code=error.code)
    return found


def _owner(path: str) -> str:
    """The name of the user that a file belongs to, or the uid where there is no name."""
    import pwd

    try:
        uid = posix.stat(path).st_uid
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
    except OSError:
        return ""
