"""What a config.json relies on outside of itself: root filesystem, namespaces, bind sources, hooks."""

import os
import stat

from pyoci._shim import lib
from pyoci.spec import defaults, paths
from pyoci.spec.check import HOOKS
from pyoci.spec.mount_options import is_bind
from pyoci.spec.namespaces import FLAGS
from pyoci.spec.problem import Problem, Report
from pyoci.spec.seccomp_words import PASSING
from pyoci.validate import landlock, program_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Device, Namespace, Seccomp, Spec


def missing_files(spec: "Spec", bundle: str) -> list[Problem]:
    """Errors and warnings about files outside of config.json, for a document that the schema accepts.

    bundle  the directory of the bundle, which relative paths start from
    """
    errors, warnings = Report(), Report(severity="warning")
    landlock.kernel_problems(spec, errors)
    _root(spec, bundle, errors, warnings)
    for index, namespace in enumerate(spec.get("linux", {}).get("namespaces", [])):
        if namespace.get("path"):
            _namespace(namespace, f"/linux/namespaces/{index}/path", errors)
    for index, mount in enumerate(spec.get("mounts", [])):
        source = mount.get("source", "")
        if is_bind(mount) and source and not _exists(os.path.join(bundle, source)):
            warnings("mount-source-missing", f"/mounts/{index}/source", f"{source} is not on this machine")
    for kind in HOOKS:
        for index, hook in enumerate(spec.get("hooks", {}).get(kind, [])):
            if os.path.isabs(hook["path"]) and not _is_executable(hook["path"]):
                text = f"{hook['path']} is not on this machine, or cannot be executed"
                warnings("hook-missing", f"/hooks/{kind}/{index}/path", text)
    _drivers(spec.get("linux", {}).get("devices", []), warnings)
    if "seccomp" in spec.get("linux", {}):
        _system_calls(spec["linux"]["seccomp"], warnings)
    return errors.found + warnings.found


def _drivers(devices: "list[Device]", warnings: Report) -> None:
    """A device without a driver may get one: modules are loaded when the device is opened."""
    try:
        with open("/proc/devices", encoding="ascii") as file:
            characters, _, blocks = file.read().partition("\nBlock devices:")
    except OSError:
        return
    drivers = {
        kind: {line.split()[0] for line in text.splitlines() if line[:1] == " " or line[:1].isdigit()}
        for kind, text in (("c", characters), ("b", blocks))
    }
    drivers["u"] = drivers["c"]
    for index, device in enumerate(devices):
        major = str(device.get("major", ""))
        if major not in drivers.get(device["type"], {major}):
            text = f"no driver on this machine has the major number {major} of {device['path']} now"
            warnings("device-driver", f"/linux/devices/{index}/major", text)


def _system_calls(seccomp: "Seccomp", warnings: Report) -> None:
    """A rule for a system call of no such name does nothing, which opens a filter that forbids by name."""
    if seccomp["defaultAction"] not in PASSING or lib.pyoci_seccomp_open():
        return
    native = lib.pyoci_seccomp_native()
    for index, rule in enumerate(seccomp.get("syscalls", [])):
        for place, name in enumerate(rule["names"]):
            if lib.pyoci_seccomp_number(native, name.encode("utf-8", "surrogatepass")) == -1:
                text = f'libseccomp knows no system call "{name}"; the rule is left out'
                warnings("seccomp-unknown", f"/linux/seccomp/syscalls/{index}/names/{place}", text)


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:
        return False


def _is_executable(path: str) -> bool:
    """Whether there is a file that can be executed; of what no path can be, the rules say so."""
    try:
        return os.access(path, os.X_OK)
    except ValueError:
        return True


def _root(spec: "Spec", bundle: str, errors: Report, warnings: Report) -> None:
    path = spec.get("root", {}).get("path", "")
    if not path:
        return  # the rules say so
    full = os.path.join(bundle, path)
    try:
        mode = os.stat(full).st_mode
    except ValueError:
        return  # the same of what no path can be
    except OSError as error:
        text = f"the root filesystem {full} cannot be reached: {(error.strerror or '').lower()}"
        errors("rootfs-missing", "/root/path", text, hint="a relative path starts at the bundle")
        return
    if not stat.S_ISDIR(mode):
        errors("rootfs-not-directory", "/root/path", f"the root filesystem {full} is not a directory")
        return
    program_file.find_problems(spec, full, warnings)
    if os.statvfs(full).f_flag & os.ST_NOEXEC and not _is_mounted_on(spec):
        text = f"the root filesystem {full} is mounted with noexec: no program in it can be executed"
        hint = f"remount its file system with exec, or copy the root filesystem to another one (`findmnt --target {full}`)"
        warnings("rootfs-noexec", "/root/path", text, hint=hint)


def _is_mounted_on(spec: "Spec") -> bool:
    """Whether the program may lie on one of the mounts, as far as paths tell."""
    process = defaults.process(spec)
    program, path = (process.get("args") or ["/"])[0], defaults.PATH
    for item in process.get("env") or ():
        path = item[5:] if item.startswith("PATH=") else path
    places = [os.path.join(process["cwd"], program)] if "/" in program else path.split(":")
    points = [paths.clean(mount["destination"]) for mount in spec.get("mounts", [])]
    return any(paths.is_within(paths.clean(place), point) for place in places for point in points)


def _namespace(namespace: "Namespace", at: str, report: Report) -> None:
    kind, path = namespace["type"], namespace["path"]
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error)
        report("namespace-missing", at, f"the {kind} namespace {path} cannot be opened: {text.lower()}")
        return
    found = lib.pyoci_namespace_type(fd)
    os.close(fd)
    if found < 0:
        report("namespace-type", at, f"{path} is not a namespace", expected=f"a namespace of type {kind}")
        return
    if found != FLAGS[kind]:
        name = next((name for name, flag in FLAGS.items() if flag == found), hex(found))
        report("namespace-type", at, f"{path} is of type {name}", expected=f"a namespace of type {kind}")
