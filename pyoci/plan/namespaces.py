"""linux.namespaces -> ops: what the init joins, and what it leaves first (namespaces(7))."""

from pyoci import _ops as ops
from pyoci.plan.facts import Facts
from pyoci.plan.ops import Plan
from pyoci.spec.namespaces import FLAGS, NEWCGROUP, NEWNET, NEWUSER, Sorted, has, is_new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Spec


def early(spec: "Spec", found: Sorted, cgroup_fds: int = 0) -> Plan:
    """The first plan: what needs nothing but the list of namespaces and takes the kernel longest.

    found       the namespaces of the spec, sorted
    cgroup_fds  count of `tasks` files (cgroup v1) that it writes itself into, here when it forks: its child starts there
    """
    plan = Plan()
    if found.forks:
        add_cgroup(plan, cgroup_fds)
    _add_joined(plan, found.joined)
    if found.forks:
        add_fork(plan, found.clone_flags, "/linux/namespaces")
    # One that was cloned into a user namespace became its root before its execve(2), which takes the privileges of anybody else.
    if has(spec, "user") and (found.forks or not found.clone_flags & NEWUSER):
        plan.add(ops.become_root(), "/linux/namespaces", "root of the user namespace")
    flags = found.unshare_flags
    if flags and not found.ahead:  # those made ahead it is in already
        names = ", ".join([name for name, flag in FLAGS.items() if flags & flag])
        plan.add(ops.unshare(flags=flags), "/linux/namespaces", f"new namespaces: {names}")
    if flags & NEWNET:
        plan.add(ops.loopback_up(), "/linux/namespaces", "loopback interface")
    return plan


def _add_joined(plan: Plan, joined: list[tuple[str, str, int]]) -> None:
    """Join namespaces by their paths; with a user namespace among them, the others before it where we may, else after it."""
    registers = [
        plan.carry("namespace", kind, path, f"/linux/namespaces/{index}/path") for kind, path, index in joined
    ]
    user = any(kind == "user" for kind, _, _ in joined)
    for again in (False, True) if user else (False,):
        for register, (kind, path, index) in zip(registers, joined, strict=True):
            if kind == "user" and not again:
                continue  # it comes between the two
            more = ", in the user namespace" if again and kind != "user" else ""
            op = ops.setns(fd=register, flags=FLAGS[kind], tentative=user and not again, again=bool(more))
            plan.add(op, f"/linux/namespaces/{index}", f"{kind} namespace {path}{more}")


def add_fork(plan: Plan, clone_flags: int, pointer: str) -> None:
    """A child goes on, in new namespaces (CLONE_NEW*)."""
    names = [name for name, flag in FLAGS.items() if clone_flags & flag]
    about = f"process in new namespaces: {', '.join(names)}" if names else "process in the namespaces joined"
    plan.add(ops.fork(flags=clone_flags), pointer, about)


def add_cgroup(plan: Plan, count: int) -> None:
    """cgroup v1: the init moves itself by `count` files; in v2 it was cloned into its cgroup."""
    if count:
        registers = [plan.carry("cgroup", index) for index in range(count)]
        plan.add(ops.join_cgroup(tasks=registers[0], count=count), "/linux/cgroupsPath", "cgroup")


def add_late(plan: Plan, spec: "Spec", facts: Facts) -> None:
    """What has to wait: the cgroup namespace starts where the init is then, the time namespace wants its offsets first."""
    add_cgroup(plan, facts.cgroup_fds)
    if is_new(spec, "cgroup"):
        plan.add(ops.unshare(flags=NEWCGROUP), "/linux/namespaces", "new namespaces: cgroup")
    if is_new(spec, "time"):
        offsets = spec.get("linux", {}).get("timeOffsets", {})
        given = (("monotonic", offsets.get("monotonic")), ("boottime", offsets.get("boottime")))
        lines = "".join(
            [
                f"{clock} {value.get('secs', 0)} {value.get('nanosecs', 0)}\n"
                for clock, value in given
                if value is not None
            ]
        )
        plan.add(ops.time_namespace(offsets=lines), "/linux/timeOffsets", "time namespace")
