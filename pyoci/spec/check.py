"""What a schema cannot say: the specification's MUSTs and what runc checks before it creates anything.

Every rule expects a document that the schema accepts. Only errors are found here, at the speed of the hot
path; what is legal but doubtful is in `pyoci.validate.warnings`.
"""

from pyoci.base.printable import utf8_size
from pyoci.spec import linux_rules, process_rules, resource_rules, unsupported
from pyoci.spec.annotations import LANDLOCK, SYSTEMD_PROPERTY
from pyoci.spec.json_pointer import escape
from pyoci.spec.problem import Enough, Problem, Report
from pyoci.spec.versions import SPECIFICATION, semver_major

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from pyoci.spec.spec_types import HookName, Hooks, Process, Resources, Spec


HOOKS: "tuple[HookName, ...]" = (
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
)
HOST_NAME_MAX = 64
OTHER_PLATFORMS = ("windows", "solaris", "vm", "zos", "freebsd")


def problems(spec: "Spec", *, first: bool, systemd: bool = False, rootless: bool = False) -> list[Problem]:
    """The errors of a config.json that its schema accepts; [] when all is well.

    first     stop at the first error; otherwise all are found
    systemd   the cgroups are made by systemd, which wants another form of linux.cgroupsPath
    rootless  the runtime is not root (its effective uid is not 0)
    """
    report = Report(first)
    try:
        _spec(spec, systemd, rootless, report)
    except Enough:
        pass
    return report.found


def process_problems(process: "Process", *, first: bool) -> list[Problem]:
    """The errors of a process object as `exec --process` reads it; the pointers start at the object."""
    report = Report(first)
    try:
        process_rules.process(process, "", report)
    except Enough:
        pass
    return report.found


def resource_problems(resources: "Resources", *, first: bool) -> list[Problem]:
    """The errors of a resources object as `update --resources` reads it; the pointers start at the object."""
    report = Report(first)
    try:
        resource_rules.resources(resources, "", report)
    except Enough:
        pass
    return report.found


def _spec(spec: "Spec", systemd: bool, rootless: bool, report: Report) -> None:
    linux = spec.get("linux", {})
    _version(spec["ociVersion"], report)
    if other := other_platform(spec):
        report(
            "wrong-platform",
            f"/{other}",
            f'the configuration is for another platform: it has "{other}", but not "linux"',
            hint="pyoci runs Linux containers only",
        )
        return
    _root(spec, report)
    if "process" in spec:
        process_rules.process(spec["process"], "/process", report)
    namespaces = linux_rules.namespaces(linux, report)
    process_rules.mounts(spec.get("mounts", []), linux, namespaces, report)
    _names(spec, namespaces, report)
    _annotations(spec.get("annotations", {}), systemd, report)
    if "hooks" in spec:
        _hooks(spec["hooks"], report)
    process_rules.deadline(spec, report)
    linux_rules.users(spec.get("process", {}).get("user", {}), linux, namespaces, report)
    if linux:
        linux_rules.linux(linux, namespaces, systemd, report)
        if "resources" in linux:
            resource_rules.resources(linux["resources"], "/linux/resources", report)
        resource_rules.linux(linux, report, spec.get("annotations") or {})
    if namespaces.get("user") == "":
        linux_rules.mount_ids(spec, linux, report)
    if rootless:
        linux_rules.rootless(spec, linux, namespaces, report)
    unsupported.config(spec, report)


def other_platform(spec: "Spec") -> str:
    """The section that says for which other platform a configuration is, or ""; beside "linux" such a section means nothing."""
    return "" if "linux" in spec else next((name for name in OTHER_PLATFORMS if name in spec), "")


def _version(version: str, report: Report) -> None:
    major = semver_major(version)
    if major < 0:
        meant = next((text for text in _versions(version) if semver_major(text) >= 0), "")
        report(
            "version-format",
            "/ociVersion",
            f'"{version}" is not a version',
            expected=f"SemVer, such as {SPECIFICATION}",
            hint=f'write "{meant}"' if meant else "",
        )
    elif major > 1:
        report(
            "version-unsupported",
            "/ociVersion",
            f"version {version} of the specification is not known",
            expected="1.x.y",
            hint=f"this runtime implements version {SPECIFICATION}",
        )


def _versions(text: str) -> tuple[str, ...]:
    """What may be meant by a version that is none."""
    text = text.strip().lstrip("vV")
    return text, f"{text}.0", f"{text}.0.0"


def _root(spec: "Spec", report: Report) -> None:
    if "root" not in spec:
        report("root-missing", "/root", "there is no root filesystem", expected='"root" with "path"')
        return
    path = spec["root"]["path"]
    if not path or "\0" in path:
        report("root-path", "/root/path", "the path of the root filesystem is empty or contains a NUL byte")


def _names(spec: "Spec", namespaces: dict[str, str], report: Report) -> None:
    field: Literal["hostname", "domainname"]
    for field in ("hostname", "domainname"):
        name = spec.get(field)
        if not name:
            continue
        if "uts" not in namespaces:
            report(
                "hostname-namespace",
                f"/{field}",
                f"unable to set {field} without a private UTS namespace",
                hint='add {"type": "uts"} to linux.namespaces, or omit the name',
            )
        if utf8_size(name) > HOST_NAME_MAX or "\0" in name:
            report(
                "hostname-length",
                f"/{field}",
                f"the {field} is too long",
                expected=f"{HOST_NAME_MAX} bytes at most",
            )


def _annotations(annotations: dict[str, str], systemd: bool, report: Report) -> None:
    if "" in annotations:
        report("annotation-empty", "/annotations/", "an annotation has an empty name")
    if LANDLOCK in annotations:
        from pyoci.spec import landlock

        landlock.read(annotations[LANDLOCK], report)
    if not systemd:
        return
    for name in annotations:
        if name.startswith(SYSTEMD_PROPERTY):
            field = name[len(SYSTEMD_PROPERTY) :]
            if len(field) < 3 or not (field.isascii() and field.isalpha()):
                report(
                    "systemd-property",
                    f"/annotations/{escape(name)}",
                    f'"{field}" cannot be the name of a systemd property',
                    expected="three or more letters",
                )


def _hooks(hooks: "Hooks", report: Report) -> None:
    for kind in HOOKS:
        for at, hook in enumerate(hooks.get(kind, ())):
            path = hook["path"]
            if path[:1] != "/":
                report(
                    "hook-path",
                    f"/hooks/{kind}/{at}/path",
                    f'the path "{path}" of the hook is not absolute',
                    expected="an absolute path on the host",
                )
            report.nul((path, *hook.get("args", ()), *hook.get("env", ())), f"/hooks/{kind}/{at}")
