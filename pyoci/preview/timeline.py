"""The whole of a create in its order, start and poststop too: what the runtime does itself, and the ops of the init."""

from __future__ import annotations

from pyoci._ops import Op
from pyoci.preview import steps
from pyoci.preview.create import Preview
from pyoci.seccomp.agent import Agent
from pyoci.spec import defaults, namespaces
from pyoci.spec.json_pointer import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import HookName, Spec


class Step:
    """One step.

    section   who does it: "runtime", or the init by its plan: "early", "prepare", "finish"
    name      of the op, or a word for what the runtime does: mkdir, write, clone, hook ...
    about     what it is done to                 value    what is written
    pointer   JSON pointer of the cause, or ""   op, index   the op and its place in the plan, of the init
    """

    def __init__(
        self,
        section: str,
        name: str,
        about: str,
        pointer: str = "",
        value: str = "",
        op: Op | None = None,
        index: int = 0,
    ) -> None:
        self.section = section
        self.name = name
        self.about = about
        self.pointer = pointer
        self.value = value
        self.op = op
        self.index = index

    def detail(self) -> str:
        """What there is to say beside the about."""
        return steps.words(self.op) if self.op else self.value

    def document(self) -> dict[str, object]:
        """For JSON."""
        if self.op:
            return {"by": "init", "plan": self.section, **steps.document(self.index, self.op)}
        found: dict[str, object] = {"by": "runtime", "op": self.name, "about": self.about}
        found["pointer"] = self.pointer
        return found | ({"value": self.value} if self.value else {})


def timeline(preview: Preview) -> list[Step]:
    """All steps, in their order."""
    groups = preview.rdt.outline() if preview.rdt else []
    resctrl = [Step("runtime", name, about, "/linux/intelRdt", value) for name, about, value in groups]
    found = _before_the_init(preview) + [step for step in resctrl if step.value != "PID"] + _clone(preview)
    found += [step for step in resctrl if step.value == "PID"]
    found += _ops(preview, "early")
    if preview.namespaces.forks and preview.namespaces.clone_flags & namespaces.NEWUSER:
        found += _maps(preview.spec)
    found += _net_devices(preview.spec)
    found += (
        _ops(preview, "prepare") + _hooks(preview.spec, "prestart") + _hooks(preview.spec, "createRuntime")
    )
    finish = _ops(preview, "finish")
    ready = next(index for index, step in enumerate(finish) if step.name in ("ready", "seccomp_notify")) + 1
    if preview.waits:
        found += [Step("runtime", "mkfifo", f"{_entry(preview)}/{name}") for name in _fifos(preview)]
    found += finish[:ready] + _listener(preview, finish[ready - 1]) + _hand_over(preview)
    if preview.waits:
        found += [Step("runtime", "write", f"{_entry(preview)}/start", value="one byte, by `start`")]
    return found + finish[ready:] + _hooks(preview.spec, "poststart") + _hooks(preview.spec, "poststop")


def _entry(preview: Preview) -> str:
    return f"{preview.request.root}/{preview.request.id}"


def _ops(preview: Preview, plan: str) -> list[Step]:
    return [
        Step(plan, op.name, op.about, op.pointer, op=op, index=index)
        for index, op in enumerate(preview.plans[plan].ops)
    ]


def _fifos(preview: Preview) -> list[str]:
    return [str(what[1]) for what in preview.plans["finish"].passed if what[0] == "fifo"]


def _before_the_init(preview: Preview) -> list[Step]:
    found = []
    if preview.namespaces.ahead:
        names = _names(preview.namespaces.ahead)
        found.append(
            Step("runtime", "unshare", f"new namespaces: {names}", "/linux/namespaces", "ahead of the init")
        )
    entry = _entry(preview)
    found += [
        Step("runtime", "mkdir", entry),
        Step("runtime", "write", f"{entry}/config.json", value="as it was read"),
        Step("runtime", "write", f"{entry}/state.json", value="the intent record: creating"),
    ]
    if not namespaces.has(preview.spec, "mount"):
        found.append(
            Step("runtime", "write", f"{entry}/mount.json", "/root/path", "the ids of the root mount")
        )
        found.append(Step("runtime", "move_mount", preview.bundle.rootfs, "/root/path", "a copy of itself"))
    if preview.manager:
        wanted = (preview.spec.get("linux") or {}).get("resources") or {}
        for name, about, value, pointer in preview.manager.outline(wanted):
            found.append(Step("runtime", name, about, pointer, value))
    return found


def _clone(preview: Preview) -> list[Step]:
    sorted_, process = preview.namespaces, defaults.process(preview.spec)
    flags = 0 if sorted_.forks else sorted_.clone_flags
    names = f"the init in new namespaces: {_names(flags)}" if flags else "the init"
    manager = preview.manager
    # of v1 the init writes itself into its cgroups
    place = manager.main_path() if manager and not manager.late and not manager.spawn_files() else ""
    found = [Step("runtime", "clone", names, "/linux/namespaces", f"cgroup {place}" if place else "")]
    if namespaces.has(preview.spec, "user"):
        for index, limit in enumerate(process.get("rlimits") or ()):
            about = f"{limit['type']}, hard limit, when it goes up"
            found.append(Step("runtime", "prlimit", about, f"/process/rlimits/{index}", str(limit["hard"])))
    if process.get("oomScoreAdj") is not None:
        score = str(process["oomScoreAdj"])
        found.append(Step("runtime", "write", "/proc/PID/oom_score_adj", "/process/oomScoreAdj", score))
    if flags & namespaces.NEWUSER:
        found += _maps(preview.spec)
    return found


def _maps(spec: Spec) -> list[Step]:
    found = []
    linux = spec["linux"]
    for member, file, maps in (
        ("uidMappings", "uid_map", linux.get("uidMappings", [])),
        ("gidMappings", "gid_map", linux.get("gidMappings", [])),
    ):
        rows = [f"{row['containerID']} {row['hostID']} {row['size']}" for row in maps]
        found.append(Step("runtime", "write", f"/proc/PID/{file}", f"/linux/{member}", ", ".join(rows)))
    return found


def _net_devices(spec: Spec) -> list[Step]:
    devices = (spec.get("linux") or {}).get("netDevices") or {}
    return [
        Step(
            "runtime",
            "netlink",
            f"network device {name}",
            f"/linux/netDevices/{escape(name)}",
            f"into the container, as {device.get('name') or name}",
        )
        for name, device in devices.items()
    ]


def _hooks(spec: Spec, kind: HookName) -> list[Step]:
    hooks = spec.get("hooks", {}).get(kind, [])
    return [
        Step(
            "runtime",
            "hook",
            f"{kind} hook {hook['path']}",
            f"/hooks/{kind}/{index}",
            " ".join((hook.get("args") or [])[1:]),
        )
        for index, hook in enumerate(hooks)
    ]


def _listener(preview: Preview, waiting: Step) -> list[Step]:
    if waiting.name != "seccomp_notify":
        return []
    agent = Agent(preview.spec, preview.bundle.path)
    return [Step("runtime", "send", agent.path, agent.pointer, "the listener, to the seccomp agent")]


def _hand_over(preview: Preview) -> list[Step]:
    request, status = preview.request, "created" if preview.waits else "running"
    found = [Step("runtime", "write", f"{_entry(preview)}/state.json", value=f"the record: {status}")]
    if request.pid_file:
        found.append(Step("runtime", "write", request.pid_file, value="PID"))
    return found


def _names(flags: int) -> str:
    return ", ".join(name for name, flag in namespaces.FLAGS.items() if flags & flag)
