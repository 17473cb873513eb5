"""The features document: what this build recognizes in a config.json (features.md, features-linux.md).

Each list comes from the table that the runtime itself reads, so that a word cannot be known to one and not to the other. What
the specification calls irrelevant to the host is said of pyoci alone; the architectures and the supported flags of seccomp are
those of this machine's libseccomp and kernel.
"""

import pyoci
from pyoci._generated_schemas import SCHEMAS
from pyoci._shim import lib
from pyoci.doctor import security
from pyoci.seccomp import compiler
from pyoci.spec import annotations, capabilities, mount_options, namespaces
from pyoci.spec.check import HOOKS
from pyoci.spec.seccomp_words import ACTIONS, FLAGS, OPERATORS
from pyoci.spec.versions import OLDEST, SPECIFICATION


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
        "memoryPolicy": {"modes": _enum("MemoryPolicyMode"), "flags": _enum("MemoryPolicyFlag")},
    }


def _seccomp() -> dict[str, object]:
    found: dict[str, object] = {
        "enabled": True,
        "actions": sorted(ACTIONS),
        "operators": sorted(OPERATORS),
        "knownFlags": sorted(FLAGS),
        "supportedFlags": sorted(name for name in FLAGS if compiler.kernel_has(name)),
    }
    if lib.pyoci_seccomp_open() == 0:
        found["archs"] = [name for name in sorted(_enum("SeccompArch")) if compiler.machine_has(name)]
    return found


def _annotations(commit: str, checkpoint: bool) -> dict[str, str]:
    """What engines look for under names of others, and then our own."""
    found = {"org.opencontainers.runc.checkpoint.enabled": "true" if checkpoint else "false"}
    library = security.library_version()
    if library:
        found["io.github.seccomp.libseccomp.version"] = library
    return {**found, "org.pyoci.commit": commit, "org.pyoci.version": pyoci.__version__}


def _enum(name: str) -> list[str]:
    """The words that the schema accepts for a definition."""
    found: list[str] = SCHEMAS["defs-linux.json"]["definitions"][name]["enum"]
    return found
