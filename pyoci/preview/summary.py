"""One line for each thing that a configuration asks for, from the steps that do it."""

from __future__ import annotations

from collections.abc import Callable

from pyoci.cgroups import paths
from pyoci.preview import steps as ops_in_words
from pyoci.preview.timeline import Step
from pyoci.spec import defaults, json_pointer
from pyoci.spec.annotations import LANDLOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.spec.spec_types import Spec


# JSON pointer of a thing, or of what stands in one line, and the word for it. The first that fits counts.
_WORDS = (
    ("/root", "root"),
    ("/mounts", "mount"),
    ("/hostname", "hostname"),
    ("/domainname", "domainname"),
    ("/hooks", "hook"),
    ("/linux/cgroupsPath", "cgroup"),
    ("/linux/resources/devices", "device rules"),
    ("/linux/resources", "limit"),
    ("/linux/namespaces", "namespace"),
    ("/linux/uidMappings", "id map"),
    ("/linux/gidMappings", "id map"),
    ("/linux/devices", "device"),
    ("/linux/netDevices", "network device"),
    ("/linux/maskedPaths", "masked"),
    ("/linux/readonlyPaths", "read-only"),
    ("/linux/sysctl", "sysctl"),
    ("/linux/seccomp", "seccomp"),
    ("/linux/rootfsPropagation", "propagation"),
    ("/linux/timeOffsets", "time offsets"),
    ("/linux/intelRdt", "resctrl group"),
    ("/linux/memoryPolicy", "memory policy"),
    ("/linux/personality", "personality"),
    ("/process/args", "program"),
    ("/process/cwd", "directory"),
    ("/process/user/umask", "umask"),
    ("/process/user", "user"),
    ("/process/capabilities", "capabilities"),
    ("/process/noNewPrivileges", "privileges"),
    ("/process/rlimits", "rlimit"),
    ("/process/oomScoreAdj", "OOM score"),
    ("/process/apparmorProfile", "AppArmor"),
    ("/process/selinuxLabel", "SELinux"),
    ("/process/scheduler", "scheduler"),
    ("/process/ioPriority", "I/O priority"),
    ("/process/terminal", "terminal"),
    (f"/annotations/{LANDLOCK}", "Landlock"),
)
_SINGLE = (
    "/mounts",
    "/hooks",
    "/linux/devices",
    "/linux/netDevices",
    "/linux/sysctl",
    "/process/rlimits",
)  # members have lines of their own
_UNASKED = ("host_propagation",)  # what happens whether it is asked for or not
_DEFAULTS = ("mknod", "symlink", "open_tree")  # ops of devices that the configuration does not list


class Line:
    """what: the kind of thing; text: which one, and how; pointer: of the property that asks for it, or ""."""

    def __init__(self, what: str, text: str, pointer: str) -> None:
        self.what = what
        self.text = text
        self.pointer = pointer

    def document(self) -> dict[str, str]:
        """For JSON."""
        return {"what": self.what, "text": self.text, "pointer": self.pointer}


def summary(spec: Spec, found: list[Step]) -> list[Line]:
    """The lines, in the order in which the things are first done."""
    groups: dict[str, list[Step]] = {}
    for step in found:
        groups.setdefault(_thing(step), []).append(step)
    lines = []
    for thing, steps in groups.items():
        if not thing:
            continue
        if thing == "/linux/namespaces":
            lines += _namespaces(spec)
            continue
        prefix, what = _word(thing)
        pointer = "" if thing == "defaults" else steps[0].pointer if what == "limit" else thing
        lines.append(Line(what, _TEXTS.get(prefix, _about)(spec, steps), pointer))
    return lines


def _thing(step: Step) -> str:
    """What steps that belong to one line have in common; "" for what is done anyway."""
    pointer = step.pointer
    if pointer == "/process" or step.name in _UNASKED:
        return ""
    if not pointer:
        return "defaults" if step.name in _DEFAULTS and step.about.startswith(("device ", "link ")) else ""
    prefix, what = _word(pointer)
    if what == "limit":
        return f"{pointer} {step.about} {step.value}"  # one value for each line
    if prefix in _SINGLE:
        depth = 3 if prefix == "/hooks" else prefix.count("/") + 1
        return "/".join(pointer.split("/")[: depth + 1])
    return prefix


def _word(pointer: str) -> tuple[str, str]:
    if pointer == "defaults":
        return pointer, "device"
    for prefix, word in _WORDS:
        if pointer == prefix or pointer.startswith(prefix + "/"):
            return prefix, word
    return pointer, pointer.rpartition("/")[2]


def _about(spec: Spec, steps: list[Step]) -> str:
    step = steps[0]
    text = step.about + (f"  {step.value}" if step.value and not step.op else "")
    return text.removeprefix(_word(step.pointer)[1] + " ")


def _namespaces(spec: Spec) -> list[Line]:
    """A line for each entry of the list."""
    return [
        Line("namespace", f"{entry['type']}, {entry.get('path') or 'new'}", f"/linux/namespaces/{index}")
        for index, entry in enumerate(spec["linux"].get("namespaces") or [])
    ]


def _mount(spec: Spec, steps: list[Step]) -> str:
    index = int(steps[0].pointer.split("/")[2])
    return f"{steps[0].about}  {','.join(spec['mounts'][index].get('options') or [])}".rstrip()


def _listed(spec: Spec, steps: list[Step]) -> str:
    return " ".join(
        step.about.rpartition(" path ")[2] for step in steps if step.name in ("mask_path", "readonly_path")
    )


def _rlimit(spec: Spec, steps: list[Step]) -> str:
    return steps[-1].about  # the first may be for the hard limit alone


def _value(spec: Spec, steps: list[Step]) -> str:
    return steps[0].value


def _detailed(spec: Spec, steps: list[Step]) -> str:
    return f"{_about(spec, steps)}  {steps[0].detail()}"


def _device(spec: Spec, steps: list[Step]) -> str:
    bound = "" if steps[0].name == "mknod" else "  bound from the host's"
    return _about(spec, steps) + (bound or f"  {steps[0].detail()}")


def _terminal(spec: Spec, steps: list[Step]) -> str:
    size = spec["process"].get("consoleSize")
    return f"of {size['height']} rows, {size['width']} columns" if size else "a new one"


def _root(spec: Spec, steps: list[Step]) -> str:
    path: str = spec["root"]["path"]
    return path + (", read-only" if spec["root"].get("readonly") else "")


def _limit(spec: Spec, steps: list[Step]) -> str:
    directory, _, file = steps[0].about.rpartition("/")
    return f"{file} = {steps[0].value}  in {directory}"


def _cgroup(spec: Spec, steps: list[Step]) -> str:
    """The directory of v2, the unit of systemd; of v1 the trees that have one."""
    made = [step.about for step in steps if step.name in ("mkdir", "systemd")]
    if len(made) < 2:
        return " ".join(made) or "there already"
    trees = dict.fromkeys(path[len(paths.MOUNT) + 1 :].partition("/")[0] for path in made)
    return f"{made[-1].rpartition('/')[2]} in {' '.join(trees)}"


def _device_rules(spec: Spec, steps: list[Step]) -> str:
    """Of v1 the lines that are written, of v2 the rules of the program."""
    return "; ".join(
        step.value if step.name == "bpf" else f"{step.about.rpartition('.')[2]} {step.value}"
        for step in steps
    )


def _group(spec: Spec, steps: list[Step]) -> str:
    """The group that the process is put into, and what is written for a new one."""
    path = next(step.about for step in steps if step.value == "PID").removesuffix("/tasks")
    written = [step.value for step in steps if step.about.endswith("/schemata")]
    return "  ".join([path, *written])


def _defaults(spec: Spec, steps: list[Step]) -> str:
    names = [step.about.rpartition("/")[2] for step in steps]
    return f"in every /dev: {' '.join(dict.fromkeys(names))}"


def _capabilities(spec: Spec, steps: list[Step]) -> str:
    """What the process gets, the sets that are alike together."""
    last = {step.name: step.op for step in steps if step.op}
    sets: dict[str, Any] = {"bounding": last["bounding_set"].fields()["capabilities"]}
    sets |= last["capset"].fields()
    alike: dict[int, list[str]] = {}
    for name, mask in sets.items():
        alike.setdefault(mask, []).append(name)
    parts = []
    for mask, names in alike.items():
        words = ops_in_words.worded("CAPS", mask)
        held = " ".join(word.removeprefix("CAP_") for word in words) or "none"
        parts.append(f"{', '.join(names)}: {held}")
    return "; ".join(parts)


def _user(spec: Spec, steps: list[Step]) -> str:
    user = defaults.process(spec).get("user") or {}
    groups = user.get("additionalGids") or []
    return f"{user.get('uid', 0)}:{user.get('gid', 0)}" + (
        f", groups {' '.join(map(str, groups))}" if groups else ""
    )


def _program(spec: Spec, steps: list[Step]) -> str:
    return " ".join(spec["process"]["args"])


def _landlock(spec: Spec, steps: list[Step]) -> str:
    """What is handled, and what is allowed of it."""
    allowed = [
        step.about.partition("] ")[2] or step.about.removeprefix("Landlock ")
        for step in steps
        if step.name in ("landlock_path", "landlock_port")
    ]
    return f"denied but for {'; '.join(allowed) or 'nothing'}"


def _sysctl(spec: Spec, steps: list[Step]) -> str:
    name = json_pointer.split(steps[0].pointer)[-1]
    return f"{name} = {spec['linux']['sysctl'][name]}"


_TEXTS: dict[str, Callable[[Spec, list[Step]], str]] = {
    "/root": _root,
    "/mounts": _mount,
    "/linux/maskedPaths": _listed,
    "/linux/readonlyPaths": _listed,
    "/linux/resources": _limit,
    "/linux/resources/devices": _device_rules,
    "/linux/cgroupsPath": _cgroup,
    "/linux/sysctl": _sysctl,
    "/linux/devices": _device,
    "/linux/intelRdt": _group,
    "/linux/timeOffsets": _detailed,
    "/process/oomScoreAdj": _value,
    "/process/rlimits": _rlimit,
    "/process/scheduler": _detailed,
    "/process/ioPriority": _detailed,
    "/process/terminal": _terminal,
    "/process/capabilities": _capabilities,
    "/process/user": _user,
    "/process/args": _program,
    "defaults": _defaults,
    f"/annotations/{LANDLOCK}": _landlock,
}
