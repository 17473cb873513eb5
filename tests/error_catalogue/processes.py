"""Failures of what a container's process asks for."""

from __future__ import annotations

import os
import subprocess

import pytest
from harness import machine
from harness.runtime import Result

from . import Stage, case, denying

PERSONALITY, KEYCTL, SETSID = 135, 250, 112  # x86_64
EPERM, EINVAL, EDQUOT = 1, 22, 122


@case("program", 'exec: "nosuch": executable file not found in $PATH', verb="run", pointer="/process/args/0")
def no_program(stage: Stage) -> Result:
    return stage.box("nosuch").run(check=False)


@case("program", 'exec: "/nosuch": stat /nosuch: no such file or directory', verb="run", errno="ENOENT")
def no_program_of_that_path(stage: Stage) -> Result:
    return stage.box("/nosuch").run(check=False)


@case(
    "program", "the interpreter /bin/nosuch is missing in the rootfs: exec /script: no such file or directory",
    verb="run", errno="ENOENT",
)  # fmt: skip
def no_interpreter(stage: Stage) -> Result:
    made = stage.box("/script")
    made.file("/script", "#!/bin/nosuch\n", 0o755)
    return made.run(check=False)


@case("program", 'exec: "/data": permission denied', verb="run", errno="EACCES")
def not_executable(stage: Stage) -> Result:
    made = stage.box("/data")
    made.file("/data", "x")
    return made.run(check=False)


@case("program", 'exec: "/data": exec format error', verb="run", errno="ENOEXEC", hint="starts with #!")
def no_format_of_this_machine(stage: Stage) -> Result:
    made = stage.box("/data")
    made.file("/data", "x", 0o755)
    return made.run(check=False)


@case(
    "program",
    "operation not permitted",
    verb="run",
    errno="EPERM",
    hint="the seccomp profile denies execve (ERRNO)",
)
def filter_that_refuses(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    rule = {"names": ["execve"], "action": "SCMP_ACT_ERRNO"}
    made.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    return made.run(check=False)


@case(
    "cwd",
    'chdir to cwd ("/file")',
    "not a directory",
    verb="run",
    pointer="/process/cwd",
    errno="ENOTDIR",
    hint="is a file",
)
def directory_that_is_a_file(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.file("/file")
    made.process["cwd"] = "/file"
    return made.run(check=False)


@case(
    "terminal",
    "terminal",
    "no such file or directory",
    verb="run",
    pointer="/process/terminal",
    errno="ENOENT",
    hint="devpts",
)
def terminal_without_devpts(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.process["terminal"] = True
    made.config["mounts"] = [mount for mount in made.mounts if mount["type"] != "devpts"]
    return made.run(check=False)


@case(
    "user",
    "user 0:0",
    "invalid argument",
    verb="run",
    pointer="/process/user",
    errno="EINVAL",
    hint="too many groups",
)
def more_groups_than_one_can_be_in(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.process["user"] = {"uid": 0, "gid": 0, "additionalGids": list(range(70000))}
    return made.run(check=False)


@case(
    "capabilities",
    "capabilities",
    "capset",
    verb="run",
    pointer="/process/capabilities",
    errno="EPERM",
    hint="denies capset",
)
def filter_that_keeps_capabilities(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.process["noNewPrivileges"] = False
    rule = {"names": ["capset"], "action": "SCMP_ACT_ERRNO"}
    made.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    return made.run(check=False)


@case("rlimit", "RLIMIT_NOFILE", "operation not permitted", verb="run", errno="EPERM", hint="fs.nr_open")
def more_files_than_the_kernel_has(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    most = 1 << 31
    made.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": most, "hard": most}]
    return made.run(check=False)


@case(
    "oom-score",
    "oom_score_adj -1000",
    "permission denied",
    verb="run",
    pointer="/process/oomScoreAdj",
    errno="EACCES",
    hint="CAP_SYS_RESOURCE",
)
def better_than_the_runtime(stage: Stage) -> Result:
    if machine.has_capability("CAP_SYS_RESOURCE"):
        pytest.skip("this process has CAP_SYS_RESOURCE")
    made = stage.box("/bin/true")
    made.process["oomScoreAdj"] = -1000
    return made.run(check=False)


@case(
    "net-device",
    "network device no-such-one cannot be moved into the container",
    "no such device",
    verb="run",
    pointer="/linux/netDevices/no-such-one",
    errno="ENODEV",
    hint="`ip link` lists the devices",
)
def network_device_that_does_not_exist(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.linux["netDevices"] = {"no-such-one": {}}
    return made.run(check=False)


@case(
    "sysctl",
    "sysctl net.ipv4.ip_forward",
    "invalid argument",
    verb="run",
    pointer="/linux/sysctl/net.ipv4.ip_forward",
    errno="EINVAL",
    hint="rejects this value",
)
def sysctl_value_that_is_none(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.linux["sysctl"] = {"net.ipv4.ip_forward": "perhaps"}
    return made.run(check=False)


@case(
    "sysctl",
    "sysctl net.nosuch",
    "no such file or directory",
    verb="run",
    pointer="/linux/sysctl/net.nosuch",
    errno="ENOENT",
    hint="this kernel",
)
def sysctl_that_is_none(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.linux["sysctl"] = {"net.nosuch": "1"}
    return made.run(check=False)


@case(
    "apparmor",
    "AppArmor profile nosuch",
    verb="create",
    pointer="/process/apparmorProfile",
    errno="ENOENT",
    hint="AppArmor",
)
def profile_that_is_not_loaded(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.process["apparmorProfile"] = "nosuch"
    return made.create(check=False)


@case(
    "selinux",
    "SELinux label x:y:z:s0",
    verb="create",
    pointer="/process/selinuxLabel",
    errno="EINVAL",
    hint="SELinux",
)
def label_without_selinux(stage: Stage) -> Result:
    if os.path.exists("/sys/fs/selinux/enforce"):
        pytest.skip("this kernel has SELinux")
    made = stage.box("/bin/true")
    made.process["selinuxLabel"] = "x:y:z:s0"
    return made.create(check=False)


@case(
    "hostname",
    "hostname box",
    "operation not permitted",
    verb="run",
    pointer="/hostname",
    errno="EPERM",
    hint="uts namespace",
)
def name_of_a_foreign_namespace(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.user_namespace()
    made.config["hostname"] = "box"
    holder = subprocess.Popen(["unshare", "-u", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
    try:
        assert holder.stdout and holder.stdout.read(1)
        made.no_namespace("uts")
        made.namespace("uts", f"/proc/{holder.pid}/ns/uts")
        made.config["hostname"] = "box"
        return made.run(check=False)
    finally:
        holder.kill()
        holder.communicate()


@case(
    "scheduler",
    "SCHED_FIFO",
    "operation not permitted",
    verb="run",
    pointer="/process/scheduler",
    errno="EPERM",
    hint="CAP_SYS_NICE",
)
def real_time_in_a_user_namespace(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.user_namespace()
    made.process["scheduler"] = {"policy": "SCHED_FIFO", "priority": 10}
    return made.run(check=False)


@case(
    "cpu-affinity",
    "error setting final CPU affinity: sched_setaffinity: invalid argument",
    verb="exec",
    status=255,
    pointer="/process/execCPUAffinity/final",
    errno="EINVAL",
    hint="cpuset",
)
def processors_that_are_not_there(stage: Stage) -> Result:
    made = stage.box("/bin/sleep", "1000")
    made.process["execCPUAffinity"] = {"final": "65536"}
    return made.launch().exec("/bin/true", check=False)


@case(
    "io-priority",
    "IOPRIO_CLASS_RT",
    "operation not permitted",
    verb="run",
    pointer="/process/ioPriority",
    errno="EPERM",
    hint="CAP_SYS_NICE",
)
def real_time_io_in_a_user_namespace(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.user_namespace()
    made.process["ioPriority"] = {"class": "IOPRIO_CLASS_RT", "priority": 1}
    return made.run(check=False)


@case(
    "memory-policy",
    "memory policy MPOL_BIND 65536: set_mempolicy: invalid argument",
    verb="run",
    pointer="/linux/memoryPolicy",
    errno="EINVAL",
    hint="cpuset",
)
def memory_node_that_is_not_there(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.linux["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "65536"}
    return made.run(check=False)


@case(
    "personality",
    "personality LINUX32",
    "operation not permitted",
    verb="run",
    pointer="/linux/personality",
    errno="EPERM",
)
def sandbox_without_personalities(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.linux["personality"] = {"domain": "LINUX32"}
    return made.run(check=False, preexec_fn=denying(PERSONALITY, EPERM))


@case("keyring", "session keyring", "quota exceeded", verb="run", errno="EDQUOT", hint="keys")
def no_room_for_keyrings(stage: Stage) -> Result:
    return stage.box("/bin/true").run(check=False, preexec_fn=denying(KEYCTL, EDQUOT))


@case("setup", "session", "setsid", "invalid argument", verb="run", errno="EINVAL")
def sandbox_without_sessions(stage: Stage) -> Result:
    return stage.box("/bin/true").run(check=False, preexec_fn=denying(SETSID, EINVAL))


@case(
    "out-of-memory",
    "killed for lack of memory",
    "the limit is 64 KiB",
    verb="run",
    pointer="/linux/resources/memory/limit",
    hint="raise linux.resources.memory.limit",
)
def less_memory_than_an_init(stage: Stage) -> Result:
    machine.need_controller("memory")
    made = stage.box("/bin/true")
    made.linux.setdefault("resources", {})["memory"] = {"limit": 65536}
    return made.run(check=False)


@case("init-died", "the container's init was killed", verb="run", hint="the kernel's log")
def init_that_is_killed(stage: Stage) -> Result:
    made = stage.box("/bin/true")
    made.no_namespace("pid")
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "kill -9 $PPID"]}
    made.config["hooks"] = {"startContainer": [hook]}
    return made.run(check=False)
