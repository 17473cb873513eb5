"""What a container leaves is removed, in the order of the specification (runtime.md, Lifecycle, 12 and 13)."""

from pyoci.base.errors import OciError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cgroups.base import Manager
    from pyoci.lifecycle.store import Entry


def destroy(context: "Context", entry: "Entry", manager: "Manager | None", directory: int = -1) -> None:
    """Remove cgroup, resctrl group and mounts, run the poststop hooks, remove the entry, of a container whose process is dead.

    directory  a descriptor of the working directory of the hooks, or -1 for ours

    Raises OciError for a cgroup, a mount or an entry that can't be removed; then the entry stays, for another try.
    """
    if manager is not None:
        for left in manager.destroy():
            context.log.warning(f"{left}: it is left alone", code="cgroup-changed")
        context.spans.lap("cgroup removal", "/linux/cgroupsPath")
    if entry.record.rdt:
        from pyoci.cgroups import resctrl

        for reason in resctrl.destroy(entry.record.rdt):
            context.log.warning(f"Intel RDT: {reason}: it is left alone", code="intel-rdt")
        context.spans.lap("resctrl group removal", "/linux/intelRdt")
    if mount := entry.root_mount():
        from pyoci.host import root_mount

        root_mount.remove(mount)
        context.spans.lap("root unmount", "/root/path")
    _run_poststop(context, entry, directory)
    entry.remove()
    context.spans.lap("removal")


def destroy_anyway(context: "Context", entry: "Entry", manager: "Manager | None", directory: int) -> None:
    """The same after a failure that is to be reported first: what can't be removed is only logged. Raises nothing."""
    try:
        destroy(context, entry, manager, directory)
    except OciError as error:
        context.log.warning(error.text(), code=error.code)


def _run_poststop(context: "Context", entry: "Entry", directory: int) -> None:
    """Run the poststop hooks; their failures are only logged (config.md, POSIX-platform Hooks)."""
    if "poststop" not in entry.record.hooks or entry.ended_early():
        return
    try:
        spec = entry.config()
    except OciError as error:
        context.log.warning(error.text(), code=error.code)
        return
    from pyoci.host import hooks
    from pyoci.lifecycle.state_document import document

    text = document(entry.record, "stopped", 0)
    for failure in hooks.run_all(spec, "poststop", text, spans=context.spans, directory=directory):
        context.log.warning(failure.text(), code=failure.code, pointer=failure.pointer)
    context.spans.lap("hooks", "/hooks/poststop")
