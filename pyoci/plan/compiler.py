"""compile: a checked spec and the facts of the host become plans. Pure: the same input compiles to the same plans.

Three plans, because the runtime has something to do between them:

    early    new namespaces                                    while the rest is being compiled
    prepare  cgroup, rootfs, mounts, devices, terminal         then prestart and createRuntime hooks run
    finish   createContainer hooks, pivot, privileges, start, program
"""

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.plan import devices, hooks, mounts, namespaces, process, rootfs
from pyoci.plan.facts import Facts
from pyoci.plan.ops import Plan
from pyoci.spec import defaults
from pyoci.spec.annotations import LANDLOCK
from pyoci.spec.json_pointer import escape
from pyoci.spec.namespaces import NEWPID, NEWUSER, has, is_new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.landlock import Rules
    from pyoci.spec.spec_types import Process, Spec


class Compiled:
    """prepare, finish: the plans; warnings: what was left out and why, one line each, and its JSON pointer."""

    __slots__ = ("prepare", "finish", "warnings")

    def __init__(self, prepare: Plan, finish: Plan, warnings: dict[str, str]) -> None:
        self.prepare = prepare
        self.finish = finish
        self.warnings = warnings


def compile_container(spec: "Spec", facts: Facts) -> Compiled:
    """The plans of a container's first process, but for the early one (namespaces.early).

    Raises OciError where the host denies what is asked for.
    """
    wanted = defaults.process(spec)
    privileges = process.Privileges(wanted, facts.capabilities)
    kept, late = mounts.kept(spec), mounts.read_only_last(spec)
    prepare = _prepare(spec, wanted, facts, {**dict(kept.values()), **late})
    return Compiled(prepare, _finish(spec, wanted, privileges, facts, kept, late), privileges.warnings)


def _prepare(spec: "Spec", wanted: "Process", facts: Facts, registers: dict[int, int]) -> Plan:
    plan = Plan()
    sysctls = (spec.get("linux") or {}).get("sysctl") or {}
    if sysctls or is_new(spec, "time"):
        plan.add(ops.open_procfs(), "", "private procfs")
    elif process.labels_keys(wanted, facts):
        process.add_proc(plan, wanted)
    namespaces.add_late(plan, spec, facts)
    process.add_affinity(plan, None)
    _add_session(plan, wanted, facts)
    rootfs.add_root(plan, spec, facts)
    mounts.add(plan, spec, facts, registers)
    mounts.add_notify(plan, spec, facts)
    devices.add(plan, spec, facts)
    process.add_terminal(plan, wanted, joined=False)
    _add_names(plan, spec)
    if sysctls:
        _add_sysctls(plan, sysctls)
    return plan


def _add_session(plan: Plan, wanted: "Process", facts: Facts) -> None:
    plan.add(ops.setsid(), "", "session")
    if not facts.no_new_keyring:
        process.add_key_label(plan, wanted)
        plan.add(ops.join_session_keyring(keyring=f"_ses.{facts.id}"), "", "session keyring")


def _add_sysctls(plan: Plan, sysctls: dict[str, str]) -> None:
    from pyoci.spec.linux_rules import sysctl_path  # the one that was checked

    for key, value in sysctls.items():
        pointer, path = f"/linux/sysctl/{escape(key)}", f"sys/{sysctl_path(key)}"
        plan.add(ops.write_procfs(path=path, content=str(value)), pointer, f"sysctl {key}")


def _finish(
    spec: "Spec",
    wanted: "Process",
    privileges: process.Privileges,
    facts: Facts,
    kept: mounts.Kept,
    late: dict[int, int],
) -> Plan:
    plan = Plan()
    process.add_proc(plan, wanted)
    hooks.add(plan, spec, "createContainer", facts.states)
    rootfs.add_closing(plan, spec, kept, late)
    rootfs.add_pivot(plan, spec, facts)
    plan.add(ops.stdio_null(), "", "standard files")
    cwd = wanted.get("cwd") or "/"
    if cwd != "/" and LANDLOCK in (spec.get("annotations") or {}):  # a rule may be for it
        plan.add(ops.mkdir(path=cwd), "/process/cwd", f"directory {cwd}")
    rules = _add_landlock(plan, spec, wanted, facts)
    process.add_settings(plan, spec, wanted)
    process.add_memory_policy(plan, spec)
    process.add_personality(plan, spec)
    process.add_identity(plan, spec, wanted, privileges, facts, joined=False)
    process.add_program(plan, spec, wanted, privileges, facts, rules, wait=facts.wait_start, first=True)
    return plan


def _add_landlock(plan: Plan, spec: "Spec", wanted: "Process", facts: Facts) -> "Rules | None":
    """The ruleset of the annotation, to be in force right before the init waits; None without one, or without a program."""
    text = (spec.get("annotations") or {}).get(LANDLOCK)
    if text is None or not wanted.get("args"):
        return None
    from pyoci.plan import landlock

    rules = landlock.rules(text, facts)
    landlock.add_ruleset(plan, rules)
    return rules


def compile_exec(spec: "Spec", wanted: "Process", facts: Facts, joined: int) -> Compiled:
    """The plan of a process that joins a running container; it comes in `finish`.

    wanted   its process object
    joined   CLONE_NEW* of the namespaces that it joins
    """
    plan = Plan()
    privileges = process.Privileges(wanted, facts.capabilities)
    namespaces.add_cgroup(plan, facts.cgroup_fds)
    if not has(spec, "mount"):  # there is no namespace whose root is the container's
        plan.add(ops.dup(old=plan.carry("root"), new=lib.REG_ROOT), "", "container's root")
        plan.add(ops.chroot(), "", "container's root")
    if joined:
        plan.add(ops.setns(fd=plan.carry("pidfd"), flags=joined), "", "container's namespaces")
    if joined & NEWPID:
        namespaces.add_fork(
            plan, 0, ""
        )  # after which it may be moved into its cgroup, which changes the affinity
    process.add_affinity(plan, wanted.get("execCPUAffinity"))
    if joined & NEWUSER:
        plan.add(ops.become_root(), "", "root of the user namespace")
    process.add_proc(plan, wanted)
    plan.add(ops.open_rootfs(path="/"), "", "container's root")
    _add_session(plan, wanted, facts)
    process.add_terminal(plan, wanted, joined=True)
    plan.add(ops.stdio_null(), "", "standard files")
    rules = _add_landlock(plan, spec, wanted, facts)
    process.add_settings(plan, spec, wanted)
    process.add_memory_policy(plan, spec)
    process.add_personality(plan, spec)
    process.add_identity(plan, spec, wanted, privileges, facts, joined=True)
    process.add_program(plan, spec, wanted, privileges, facts, rules, wait=False, first=False)
    return Compiled(Plan(), plan, privileges.warnings)


def _add_names(plan: Plan, spec: "Spec") -> None:
    host, domain = spec.get("hostname"), spec.get("domainname")
    if host:
        plan.add(ops.sethostname(hostname=host), "/hostname", f"hostname {host}")
    if domain:
        plan.add(ops.setdomainname(domainname=domain), "/domainname", f"domainname {domain}")
