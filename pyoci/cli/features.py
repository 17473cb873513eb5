"""`pyoci features`: the features document, what this build recognizes in a config.json (features.md, features-linux.md).

Each list comes from the table that the runtime itself reads, so that a word cannot be known to one and not to the other. What
the specification calls irrelevant to the host is said of pyoci alone; the architectures and the supported flags of seccomp are
those of this machine's libseccomp and kernel.
"""

import pyoci
from pyoci._shim import lib
from pyoci.base import boot, files, jsontext
from pyoci.cli.table import COMMANDS, NAME
from pyoci.plan.process import MEMORY_FLAGS, MEMORY_MODES
from pyoci.seccomp import compiler
from pyoci.spec import annotations, capabilities, mount_options, namespaces
from pyoci.spec.check import HOOKS
from pyoci.spec.seccomp_words import ACTIONS, ARCHITECTURES, FLAGS, OPERATORS
from pyoci.spec.versions import OLDEST, SPECIFICATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.base.context import Context
    from pyoci.cli.parse import Options


def run(context: "Context", options: "Options") -> int:
    """Print what this build recognizes in a config.json, as the specification's features document."""
    checkpoint = "checkpoint" in (command[NAME] for command in COMMANDS)
    files.out(jsontext.dumps_pretty(document(commit=boot.commit(), checkpoint=checkpoint)) + "\n")
    return 0


def document(*, commit: str, checkpoint: bool) -> dict[str, object]:
    """The features of this build.

    commit      what it was built from
    checkpoint  whether it has the commands checkpoint and restore
    """
    return {
        "ociVersionMin": OLDEST,
        "ociVersionMax": SPECIFICATION,
        "hooks": list(HOOKS),
        "mountOptions": sorted({*mount_options.KNOWN} - {""}),
        "linux": _linux(),
        "annotations": _annotations(commit, checkpoint),
        "potentiallyUnsafeConfigAnnotations": list(annotations.UNSAFE),
    }


def _linux() -> dict[str, object]:
    return {
        "namespaces": sorted(namespaces.FLAGS),
        "capabilities": list(capabilities.NAMES),
        "cgroup": {"v1": True, "v2": True, "systemd": True, "systemdUser": True, "rdma": True},
        "seccomp": _seccomp(),
        "apparmor": {"enabled": True},
        "selinux": {"enabled": True},
        "intelRdt": {"enabled": True, "schemata": True, "monitoring": True},
        "mountExtensions": {"idmap": {"enabled": True}},
        "netDevices": {"enabled": True},
        "memoryPolicy": {"modes": sorted(MEMORY_MODES), "flags": sorted(MEMORY_FLAGS)},
    }


def _seccomp() -> dict[str, object]:
    found: dict[str, object] = {
        "enabled": True,
        "actions": sorted(ACTIONS),
        "operators": sorted(OPERATORS),
        "knownFlags": sorted(FLAGS),
        "supportedFlags": sorted(name for name in FLAGS if compiler.kernel_has(name)),
    }
    if compiler.library_version():
        found["archs"] = [name for name in sorted(ARCHITECTURES) if compiler.machine_has(name)]
    return found


def _annotations(commit: str, checkpoint: bool) -> dict[str, str]:
    """What engines look for under names of others, and then our own."""
    found = {"org.opencontainers.runc.checkpoint.enabled": "true" if checkpoint else "false"}
    library = compiler.library_version()
    if library:
        found["io.github.seccomp.libseccomp.version"] = library
    found["org.pyoci.landlock.abi"] = str(max(0, lib.pyoci_landlock_abi()))
    return {**found, "org.pyoci.commit": commit, "org.pyoci.version": pyoci.__version__}
