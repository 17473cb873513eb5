"""What the rule set of org.pyoci.landlock relies on outside of itself: this kernel, files of the root filesystem."""

from collections.abc import Callable

from pyoci._shim import lib
from pyoci.spec import landlock, paths
from pyoci.spec.annotations import LANDLOCK
from pyoci.spec.problem import Problem, Report
from pyoci.validate import positions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Spec


def kernel_problems(spec: "Spec", errors: Report) -> None:
    """Whether this machine can enforce it: `create` refuses what it can't."""
    rules = _rules(spec)
    why = landlock.too_old(rules, lib.pyoci_landlock_abi()) if rules else ""
    if why:
        errors("landlock-abi", landlock.POINTER, why, hint='use a newer kernel, or "abi" in the rule set')


def file_problems(
    spec: "Spec", executed: list[str], resolve: Callable[[str], str | None], warnings: Report
) -> None:
    """Warn of paths that are not there, and of a program that the rules do not let run.

    executed  the program, and the interpreter that it needs, on the host
    resolve   a path in the container -> on the host, "" when it is missing, None where that is not known
    """
    rules = _rules(spec)
    if not rules or not rules.handled:
        return
    places = {rule.place: resolve(rule.path) for rule in rules.paths}
    made = _made(spec)
    for rule in rules.paths:
        path = paths.clean(rule.path)
        is_made = paths.is_within(path, "/dev") or any(paths.is_within(item, path) for item in made)
        if places[rule.place] == "" and not rule.optional and not is_made:
            text = f"{rule.place}: {rule.path} is not in the root filesystem, and not optional"
            warnings("landlock-path", landlock.POINTER, text, hint='correct it, or add "optional": true')
    wanted = landlock.bits(("execute", "read_file"), landlock.RIGHTS)
    for file in executed:
        allowed = 0
        for rule in rules.paths:
            place = places[rule.place]
            if place and paths.is_within(file, place):
                allowed |= rule.rights
        if wanted & ~allowed:
            text = f"no rule allows read_file and execute on {file}, which starts the container's program"
            hint = 'add a path with "allow": ["read", "execute"]'
            warnings("landlock-program", landlock.POINTER, text, hint=hint)


def _made(spec: "Spec") -> list[str]:
    """What `create` makes in the root filesystem where it is missing, with the directories above it."""
    mounts, devices = spec.get("mounts") or (), (spec.get("linux") or {}).get("devices") or ()
    found = [spec.get("process", {}).get("cwd", "/")]
    found += [mount["destination"] for mount in mounts]
    found += [device["path"] for device in devices]
    return [paths.clean(path) for path in found]


def explain_json(problem: Problem, text: str) -> None:
    """Say what is wrong with a value that is not JSON, and where in it."""
    for fault, offset in positions.faults(text)[0][:1]:
        problem.message = f"{fault.message}, at character {offset + 1} of the value"
        problem.hint = fault.hint


def _rules(spec: "Spec") -> landlock.Rules | None:
    """The rules, None without the annotation, or where something is wrong with it, which is another problem."""
    text = spec.get("annotations", {}).get(LANDLOCK)
    if text is None:
        return None
    report = Report()
    found = landlock.read(text, report)
    return None if report.found else found
