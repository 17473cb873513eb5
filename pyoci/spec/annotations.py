"""The annotations of config.json that change what this runtime does; all others pass unread (config.md, Annotations)."""

SYSTEMD_PROPERTY = "org.systemd.property."  # the beginning: the name of a property of the unit follows
KEEP_GROUPS = (
    "run.oci.keep_original_groups"  # crun's: it need only be there; podman's --group-add keep-groups sets it
)
HOOK_OUTPUTS = (
    "run.oci.hooks.stdout",
    "run.oci.hooks.stderr",
)  # crun's: files that get what hooks print

# An engine that lets its users set annotations should keep these for itself (features.md, Unsafe annotations in config.json);
# a name that ends with a dot stands for all that begin with it.
UNSAFE = (SYSTEMD_PROPERTY, KEEP_GROUPS, *HOOK_OUTPUTS)
