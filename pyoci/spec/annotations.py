"""The annotations of config.json that change what this runtime does; all others pass unread (config.md, Annotations)."""

SYSTEMD_PROPERTY = "org.systemd.property."  # the beginning: the name of a property of the unit follows
KEEP_GROUPS = "run.oci.keep_original_groups"  # crun's: podman's --group-add keep-groups sets it
HOOK_OUTPUTS = (
    "run.oci.hooks.stdout",
    "run.oci.hooks.stderr",
)  # crun's: files that get what hooks print
PIDFD_RECEIVER = "run.oci.pidfd_receiver"  # crun's: a socket that gets a pidfd of the container's process
MOUNT_CONTEXT = (
    "run.oci.mount_context_type"  # crun's: the mount option that takes linux.mountLabel, else "context"
)
# crun's, too: the agent's socket, where linux.seccomp has no listenerPath; that each name of a system call has to be known
SECCOMP_RECEIVER = "run.oci.seccomp.receiver"
SECCOMP_FAIL_UNKNOWN = "run.oci.seccomp_fail_unknown_syscall"
LANDLOCK = "org.pyoci.landlock"  # our own: a rule set, docs/landlock.md
OWN = "org.pyoci."  # the beginning of ours
CRUN = "run.oci."  # the beginning of crun's
KNOWN = (KEEP_GROUPS, *HOOK_OUTPUTS, PIDFD_RECEIVER, MOUNT_CONTEXT, SECCOMP_RECEIVER, SECCOMP_FAIL_UNKNOWN)
KNOWN_OWN = (LANDLOCK,)

# An engine that lets its users set annotations should keep these for itself (features.md, Unsafe annotations in config.json);
# a name that ends with a dot stands for all that begin with it.
UNSAFE = (SYSTEMD_PROPERTY, *KNOWN, *KNOWN_OWN)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Spec


def asks_for(spec: "Spec", name: str) -> bool:
    """Whether one of crun's annotations that are either on or off is on: it is there, and not "0"."""
    return (spec.get("annotations") or {}).get(name, "0") != "0"
