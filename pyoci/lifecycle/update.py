"""update: other limits for a container that exists. What is zero or missing stays as it is."""

from pyoci.base.errors import OciError
from pyoci.cgroups import paths, resctrl, resources
from pyoci.lifecycle import store
from pyoci.spec import check, documents, fast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.spec.spec_types import Resources


def update(
    context: "Context",
    root: str,
    id: str,
    wanted: "Resources",
    *,
    l3_cache_schema: str = "",
    mem_bw_schema: str = "",
) -> None:
    """`update`: set the limits of a `linux.resources` object, but never device rules, and Intel RDT's schemata.

    Raises OciError; then the limits are the old ones, as far as the kernel takes them back.
    """
    entry = store.open(context, root, id, lock=True)
    try:
        if entry.status() not in ("created", "running", "paused"):
            raise OciError("not-running", "container not running", obj=id)
        schemata = _schemata(l3_cache_schema, mem_bw_schema)
        wanted = _asked(wanted)
        if wanted:
            _apply(context, entry, wanted)
        if schemata:
            _write_schemata(entry, schemata)
    finally:
        entry.close()


def _asked(wanted: "Resources") -> "Resources":
    """The resources without what an update leaves alone whatever it says."""
    asked = wanted.copy()
    asked.pop("devices", None)
    if not asked.get("pids", {}).get("limit"):
        asked.pop("pids", None)  # docker means "as it was" by 0, though at create it is the limit of no forks
    return asked


def _apply(context: "Context", entry: store.Entry, wanted: "Resources") -> None:
    version = 2 if paths.is_v2() else 1
    for pointer in resources.ignored(wanted, version=version):
        context.log.warning(f"{pointer} is not available on cgroup v{version}: ignored", pointer=pointer)
    manager = entry.manager()
    if manager is None:
        raise store.no_cgroup(entry.id, "update")
    manager.apply(wanted, update=True)


def read(source: str) -> "Resources":
    """The `linux.resources` object in a file, or on standard input for "-". Raises OciError."""
    path, name = ("", "standard input") if source == "-" else (source, source)
    raw = documents.read_document("resources-file", f"resources file {name}", path, where=source)
    found = documents.accepted(fast.load_resources, raw, name, "resources")
    documents.raise_first(name, check.resource_problems(found, first=True))
    return found


def _schemata(l3_cache: str, mem_bw: str) -> list[str]:
    """The lines for a resctrl group. Raises OciError where there is no RDT."""
    if l3_cache and not resctrl.has("L3"):
        raise resctrl.not_enabled("CAT: l3 cache schema", "", "l3-cache-schema")
    if mem_bw and not resctrl.has("MB"):
        raise resctrl.not_enabled("MBA: memory bandwidth schema", "", "mem-bw-schema")
    return [line for text in (l3_cache, mem_bw) for line in text.splitlines() if line]


def _write_schemata(entry: store.Entry, lines: list[str]) -> None:
    """A container of a version before 0.2, or one without linux.intelRdt, may be in the group of its id all the same."""
    rdt = entry.record.rdt
    resctrl.write_schemata(rdt["group"] if rdt else f"{resctrl.ROOT}/{entry.id}", lines)
