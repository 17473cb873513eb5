"""Failures of bundles: what is missing in them or around them."""

from __future__ import annotations

from errno import EOPNOTSUPP

from harness.box import Container
from harness.runtime import Result

from . import Stage, case, denying


@case("bundle", "bundle /nonexistent: no such file or directory", verb="run", errno="ENOENT", hint="--bundle")
def no_bundle(stage: Stage) -> Result:
    return stage.call("run", "--bundle", "/nonexistent", "x")


@case(
    "config-file", "config.json: no such file or directory", verb="create", errno="ENOENT", hint="pyoci spec"
)
def no_configuration(stage: Stage) -> Result:
    return stage.call("create", "--bundle", str(stage.folder), "x")


@case(
    "config-file",
    "cannot read",
    "no such file or directory",
    verb="validate",
    errno="ENOENT",
    hint="bundle",
)
def nothing_to_validate(stage: Stage) -> Result:
    return stage.call("validate", "/nonexistent")


@case("config", "too large", verb="run")
def more_than_the_init_takes(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.process["env"] = [f"LONG{number}=" + "x" * 131000 for number in range(130)]
    return made.run(check=False)


@case(
    "unsupported", "is not supported by this version", verb="run", pointer="/annotations/", hint="remove it"
)
def annotation_for_another_runtime(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.config["annotations"] = {"run.oci.seccomp_bpf_data": "AAAA"}
    return made.run(check=False)


@case(
    "seccomp-agent",
    "failed to connect with seccomp agent /nowhere/agent",
    verb="run",
    pointer="/linux/seccomp/listenerPath",
    errno="ENOENT",
    hint="start the agent before",
)
def seccomp_agent_that_is_not_there(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": "/nowhere/agent",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
    }
    return made.run(check=False)


@case(
    "rootfs", "/nonexistent: no such file or directory", verb="run", pointer="/root/path", errno="ENOENT",
    hint="starts at the bundle",
)  # fmt: skip
def no_root_file_system(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.config["root"]["path"] = "/nonexistent"
    return made.run(check=False)


@case(
    "process-args", "config.json: /process/args: args must not be empty", verb="run", pointer="/process/args",
    hint="the command to run",
)  # fmt: skip
def a_rule_of_the_check(stage: Stage) -> Result:
    return stage.box().args().run(check=False)


@case(
    "process-missing", "there is no process to start", verb="start", pointer="/process", hint="with a process"
)
def no_process(stage: Stage) -> Result:
    made = stage.box()
    del made.config["process"]
    made.create()
    return made.start(check=False)


@case(
    "schema-type", "config.json:", "/hostname: 5 is not a text", verb="run", pointer="/hostname", hint='"5"'
)
def a_wrong_type(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.config["hostname"] = 5
    return made.run(check=False)


@case("mount", "nosuchfs on /x", "no such device", verb="run", errno="ENODEV", hint="file system type")
def unknown_file_system(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.mount("/x", "nosuchfs", "none")
    return made.run(check=False)


@case(
    "mount",
    "bind of /nonexistent on /x",
    "no such file or directory",
    verb="run",
    errno="ENOENT",
    hint="on the host",
)
def nothing_to_bind(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.mount("/x", "bind", "/nonexistent", "bind")
    return made.run(check=False)


@case("mount", "tmpfs on /x", "size=much", "invalid argument", verb="run", errno="EINVAL")
def impossible_option(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.mount("/x", "tmpfs", "tmpfs", "size=much")
    return made.run(check=False)


@case("mount-option-bind", "size=1k", verb="run", hint="on a bind mount")
def option_of_no_bind(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.mount("/x", "bind", "/tmp", "bind", "size=1k")
    return made.run(check=False)


@case("mount-option-fstab", "noauto", "fstab(5)", verb="run", hint="leave it out")
def option_of_fstab(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.mount("/x", "tmpfs", "tmpfs", "noauto")
    return made.run(check=False)


@case(
    "device",
    "device /x/y",
    "not a directory",
    verb="run",
    pointer="/linux/devices/0",
    errno="ENOTDIR",
    hint="is a file",
)
def device_below_a_file(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.file("/x")
    made.linux["devices"] = [{"path": "/x/y", "type": "c", "major": 1, "minor": 3}]
    return made.run(check=False)


@case(
    "masked-path",
    "/loop",
    "too many levels",
    verb="run",
    pointer="/linux/maskedPaths/0",
    errno="ELOOP",
    hint="symbolic link",
)
def masked_loop(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    (made.rootfs / "loop").symlink_to("loop")
    made.linux["maskedPaths"] = ["/loop"]
    return made.run(check=False)


@case(
    "readonly-path",
    "/loop",
    "too many levels",
    verb="run",
    pointer="/linux/readonlyPaths/0",
    errno="ELOOP",
    hint="symbolic link",
)
def readonly_loop(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    (made.rootfs / "loop").symlink_to("loop")
    made.linux["readonlyPaths"] = ["/loop"]
    return made.run(check=False)


@case(
    "namespace", "network namespace /nonexistent: no such file or directory", verb="run", errno="ENOENT",
)  # fmt: skip
def no_namespace(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.namespace("network", "/nonexistent")
    return made.run(check=False)


@case("namespace", "is a uts namespace", verb="run")
def another_namespace(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.namespace("ipc", "/proc/self/ns/uts")
    return made.run(check=False)


@case(
    "seccomp",
    "the seccomp filter killed",
    "it denies execve (KILL_PROCESS)",
    verb="run",
    pointer="/linux/seccomp",
    hint="such as execve",
)
def filter_that_kills(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    rule = {"names": ["execve"], "action": "SCMP_ACT_KILL_PROCESS"}
    made.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    return made.run(check=False)


def _ruled(stage: Stage, rules: str) -> Container:
    made = stage.box("/bin/true")
    made.config["annotations"] = {"org.pyoci.landlock": rules}
    return made


@case(
    "landlock",
    "Landlock paths[0] /nowhere: read: openat2 /nowhere in the rootfs: no such file or directory",
    verb="create",
    pointer="/annotations/org.pyoci.landlock",
    errno="ENOENT",
    hint='add "optional": true',
)
def rule_for_nothing(stage: Stage) -> Result:
    return _ruled(stage, '{"paths": [{"path": "/nowhere", "allow": ["read"]}]}').create(check=False)


@case(
    "landlock",
    'exec: "/bin/true": permission denied',
    verb="run",
    pointer="/annotations/org.pyoci.landlock",
    errno="EACCES",
    hint="must allow read_file and execute",
)
def rules_without_the_program(stage: Stage) -> Result:
    return _ruled(stage, '{"paths": []}').run(check=False)


@case(
    "landlock-abi",
    'this kernel has no Landlock, or it is switched off: "tcp" needs ABI 4',
    verb="create",
    pointer="/annotations/org.pyoci.landlock",
    hint="use a newer kernel",
)
def kernel_without_landlock(stage: Stage) -> Result:
    absent = denying(444, EOPNOTSUPP)
    return _ruled(stage, '{"tcp": {"bind": [80]}}').create(check=False, preexec_fn=absent)


@case(
    "seccomp", "it denies execve (TRAP)", verb="start", pointer="/linux/seccomp", hint="such as execve",
)  # fmt: skip
def filter_that_kills_at_start(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    rule = {"names": ["execve"], "action": "SCMP_ACT_TRAP"}
    made.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    made.create()
    return made.start(check=False)


@case(
    "hook", "error running createRuntime hook #0: exit status 3, stdout: , stderr: no such network", verb="create",
    pointer="/hooks/createRuntime/0", hint="/bin/sh",
)  # fmt: skip
def hook_on_the_host(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "echo no such network >&2; exit 3"]}
    made.config["hooks"] = {"createRuntime": [hook]}
    return made.create(check=False)


@case(
    "hook", "error running startContainer hook #0: exit status 4, stdout: not today, stderr: ", verb="run",
    pointer="/hooks/startContainer/0", hint="/bin/sh",
)  # fmt: skip
def hook_inside(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "echo not today; exit 4"]}
    made.config["hooks"] = {"startContainer": [hook]}
    return made.run(check=False)


@case(
    "hook",
    "hook ran past specified timeout of 1.0s",
    verb="create",
    pointer="/hooks/prestart/0/timeout",
    hint="/bin/sh",
)
def hook_without_end(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "exec sleep 100"], "timeout": 1}
    made.config["hooks"] = {"prestart": [hook]}
    return made.create(check=False)


@case(
    "idmap", "the uid map (0 to 100000 x 65536) cannot be written: operation not permitted", verb="run",
    pointer="/linux/uidMappings", errno="EPERM", hint="100000",
)  # fmt: skip
def ids_that_we_have_not(stage: Stage) -> Result:
    """Root of a user namespace that has one id only."""
    stage.runtime.global_options += ["--cgroup-manager", "disabled"]
    made = stage.box("/bin/true")
    made.user_namespace()
    made.save()
    return stage.behind("unshare", "-Ur", "run", "--bundle", str(made.directory), made.id)
