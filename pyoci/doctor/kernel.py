"""What the kernel can do, found out by doing it."""

import posix

from pyoci import _ops as ops
from pyoci import userns
from pyoci._shim import ffi, lib
from pyoci.base.errors import OciError
from pyoci.cgroups import devices
from pyoci.doctor.check import NO, UNKNOWN, YES, Check, answer, read
from pyoci.doctor.trial import Trial, own_id, reason
from pyoci.host import restrictions
from pyoci.seccomp import bpf, compiler
from pyoci.spec import landlock, mount_options, versions
from pyoci.spec.annotations import LANDLOCK
from pyoci.spec.seccomp_words import ACTIONS, FLAG_SINCE
from pyoci.userns.idmapped_mounts import make_namespace

AREA = "kernel"
_ALLOW_ALL = bpf.instruction(bpf.RETURN, ACTIONS["SCMP_ACT_ALLOW"])
_DEVICE_PROGRAM = devices.program(devices.parse([{"allow": True, "access": "rwm"}]))

_FLOOR = f"Linux {versions.KERNEL} or later"

# type of namespace: since which Linux, and what can't be had without
_NAMESPACES = {
    "user": ("3.8", "containers without root, and containers whose root is nobody on the host"),
    "mount": ("2.4", "no container can have a root file system of its own"),
    "pid": ("3.8", "containers see and number the host's processes"),
    "network": ("3.0", "containers share the host's network"),
    "ipc": ("3.0", "containers share the host's System V IPC and message queues"),
    "uts": ("3.0", "containers can't have a host name"),
    "cgroup": ("4.6", "containers see where their cgroup is on the host"),
    "time": ("5.6", "linux.timeOffsets"),
}
_FILES = {"mount": "mnt", "network": "net"}  # in /proc/self/ns, where the name is another
_ORDINARY = ("mount", "pid", "network", "ipc", "uts", "cgroup")
# type of file system: the namespace it belongs to
_FILE_SYSTEMS = {"proc": "pid", "sysfs": "network", "mqueue": "ipc", "devpts": "", "tmpfs": ""}


def checks() -> list[Check]:
    """All checks of the kernel."""
    found = [_version(), _start()]
    if found[-1].result == NO:
        return found
    found += [_namespace(kind) for kind in _NAMESPACES]
    found += _mounts()
    found += [_file_system(kind, owner) for kind, owner in _FILE_SYSTEMS.items()]
    found.append(_id_mapped_mounts())
    found += _seccomp()
    return [*found, _landlock(), _keyrings(), _resctrl()]


def _version() -> Check:
    system = posix.uname()
    numbers = system.release.split("-")[0].split(".")
    try:
        enough = (int(numbers[0]), int(numbers[1])) >= tuple(map(int, versions.KERNEL.split(".")))
    except (ValueError, IndexError):
        return Check(AREA, _FLOOR, UNKNOWN, system.release)
    cost = "" if enough else "what the rows below mark with no: pyoci has no other way"
    return Check(AREA, _FLOOR, answer(enough), f"{system.release} {system.machine}", cost)


def _start() -> Check:
    """The container's init itself: memfd_create, clone3, execveat, close_range, a pidfd."""
    why = Trial().run()
    hint = ""
    if why and read("/proc/sys/vm/memfd_noexec") == "2":
        hint = "sysctl vm.memfd_noexec=1, or --root with a directory whose file system is not mounted noexec"
    elif why and posix.geteuid() != 0:
        hint = restrictions.user_namespaces()
    return _checked("a container's init starts", why, "no container can be started", hint, needed=True)


def _namespace(kind: str) -> Check:
    since, cost = _NAMESPACES[kind]
    trial = Trial(kind)
    if kind == "network":
        trial.add(ops.loopback_up())
    if kind == "time":
        trial.add(ops.open_procfs()).add(ops.time_namespace(offsets="boottime 1 0\n"))
    why = trial.run()
    hint = ""
    if why and not posix.access(f"/proc/self/ns/{_FILES.get(kind, kind)}", posix.F_OK):
        hint = f"a kernel since Linux {since} has them, unless they were left out when it was built"
    elif why and kind == "user":
        hint = restrictions.user_namespaces()
    needed = kind in _ORDINARY or (kind == "user" and posix.geteuid() != 0)
    return _checked(f"{kind} namespaces", why, cost, hint, needed=needed)


def _mounts() -> list[Check]:
    """The calls that mounts are made with; all of them are needed, so one by one for the name of what is missing."""
    steps = {
        "fsopen, fsmount (Linux 5.2)": Trial("mount").file_system("tmpfs"),
        "open_tree (Linux 5.2)": Trial("mount").add(ops.open_tree(source="/", recursive=True)),
        "openat2 (Linux 5.6)": _looked_up(Trial("mount")),
        "move_mount (Linux 5.2)": _looked_up(Trial("mount").file_system("tmpfs")).add(
            ops.move_mount(mount=lib.REG_MOUNT, onto=lib.REG_MOUNTPOINT)
        ),
        "mount_setattr (Linux 5.12)": Trial("mount")
        .file_system("tmpfs")
        .add(ops.mount_setattr(mount=lib.REG_MOUNT, set=mount_options.RDONLY)),
    }
    found = [
        _checked(name, trial.run(), "no container can be set up", needed=True)
        for name, trial in steps.items()
    ]
    root = Trial("mount").add(ops.mount_rootfs(path="/")).add(ops.pivot_root())
    hint = "use create and run with --no-pivot; needed where the host's root is a ramdisk"
    return [*found, _checked("pivot_root", root.run(), "the root file system can't be exchanged", hint)]


def _looked_up(trial: Trial) -> Trial:
    return trial.add(ops.open_rootfs(path="/")).add(ops.mountpoint(path="/proc", type=lib.MOUNTPOINT_EXISTS))


def _file_system(kind: str, owner: str) -> Check:
    why = Trial("mount", *([owner] if owner else [])).file_system(kind).run()
    hint = ""
    if why and kind in ("proc", "sysfs"):
        hint = "a part of it is covered here, as in a container: bind-mount the existing one instead"
    return _checked(f"mounts of type {kind}", why, f"bundles that mount {kind}", hint, needed=True)


def _id_mapped_mounts() -> Check:
    """On the file system of "/": each type has to support them for itself."""
    name, cost = "id-mapped mounts of / (Linux 5.12)", "uidMappings and gidMappings of mounts, option idmap"
    if posix.geteuid() != 0:
        return Check(AREA, name, NO, "only root can make them", cost)
    tree = lib.pyoci_open_tree(-1, b"/", 0, 0)
    if tree < 0:
        return _checked(name, posix.strerror(-tree).lower(), cost)
    try:
        user = make_namespace(own_id(1), own_id(1), "", rootless=False)
        result = lib.pyoci_idmap_mount(tree, user, 0)
        posix.close(user)
        why = posix.strerror(-result).lower() if result < 0 else ""
    except OciError as error:
        why = reason(error)
    finally:
        posix.close(tree)
    return _checked(name, why, cost, "other file systems may have them")


def _seccomp() -> list[Check]:
    loaded = Trial().add(ops.no_new_privs()).add(ops.seccomp(filter=_ALLOW_ALL)).run()
    found = [_checked("seccomp filters", loaded, "linux.seccomp: containers reach every system call")]
    if loaded:
        return found
    actions = read("/proc/sys/kernel/seccomp/actions_avail").split()
    for flag in (
        "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    ):
        known = compiler.kernel_has(flag)
        name = f"seccomp flag {flag.removeprefix('SECCOMP_FILTER_FLAG_')} (Linux {FLAG_SINCE[flag]})"
        found.append(Check(AREA, name, answer(known), "", "" if known else flag))
    notify = "user_notif" in actions
    cost = "" if notify else "SCMP_ACT_NOTIFY"
    return [*found, Check(AREA, "seccomp notification (Linux 5.0)", answer(notify), "", cost)]


def _landlock() -> Check:
    """What a rule set without "abi" needs, and an older ABI in words."""
    abi = lib.pyoci_landlock_abi()
    why = f"ABI {abi}" if abi > 0 else posix.strerror(-abi).lower()
    newest = len(landlock.KERNELS)
    cost = (
        f"parts of rule sets: ABI {newest} came with Linux {landlock.KERNELS[-1]}" if abi > 0 else "rule sets"
    )
    cost = "" if abi >= newest else f"{cost} in the annotation {LANDLOCK}"
    hint = (
        "" if abi > 0 else "a kernel with CONFIG_SECURITY_LANDLOCK, and landlock in lsm= of its command line"
    )
    return Check(AREA, "Landlock (Linux 5.13)", answer(abi > 0), why, cost, hint)


def born_in_cgroup(area: str, directory: str) -> Check:
    """clone3 with CLONE_INTO_CGROUP, into the cgroup we are in anyway."""
    name, cost = "clone into a cgroup (Linux 5.7)", "containers with a cgroup can't be started"
    if not posix.access(f"{directory}/cgroup.procs", posix.W_OK):
        return Check(area, name, UNKNOWN, f"{directory} belongs to another user")
    return _checked(name, Trial(cgroup=directory).run(), cost, area=area, needed=True)


def device_programs(area: str) -> Check:
    """The program that guards devices in cgroup v2: loaded, attached to nothing."""
    log = ffi.new("char[]", 256)
    result = lib.pyoci_bpf_load(_DEVICE_PROGRAM, len(_DEVICE_PROGRAM), log, 256)
    why = "" if result >= 0 else posix.strerror(-result).lower()
    if result >= 0:
        posix.close(result)
    # In a user namespace the kernel loads none, and the runtime does without.
    needed = posix.geteuid() == 0 and not userns.is_nested()
    cost = "linux.resources.devices" + (
        ", which every container has" if needed else ": only the host's root may load one"
    )
    return _checked("device programs (eBPF)", why, cost, area=area, needed=needed)


def _keyrings() -> Check:
    there = posix.access("/proc/keys", posix.F_OK)
    why = Trial().add(ops.join_session_keyring(keyring="doctor")).run() if there else "this kernel has none"
    hint = "see /proc/sys/kernel/keys/maxkeys" if there else ""
    cost = (
        "containers share the caller's session keyring"
        if not there
        else "containers, but for --no-new-keyring"
    )
    return _checked("keyrings", why, cost, hint, needed=there)


def _resctrl() -> Check:
    there = posix.access("/sys/fs/resctrl/schemata", posix.F_OK)
    why = "" if there else "resctrl is not mounted at /sys/fs/resctrl"
    return Check(AREA, "Intel RDT", answer(there), why, "" if there else "linux.intelRdt")


def _checked(
    name: str, why: str, cost: str, hint: str = "", *, area: str = AREA, needed: bool = False
) -> Check:
    """A check from the reason why a trial failed, "" when it did not."""
    if not why:
        return Check(area, name, YES, needed=needed)
    if not hint and posix.geteuid() != 0:
        hint = (
            restrictions.apparmor()
        )  # which lets a user namespace be made, and refuses all that is tried in it
    return Check(area, name, NO, why, cost, hint, needed)
