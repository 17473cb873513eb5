"""linux.seccomp: actions, arguments, defaults, flags, and calls newer than the profile."""

from __future__ import annotations

import errno
import json
import signal
from typing import Any

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes
from harness.programs import Programs

pytestmark = machine.SECCOMP_BY_NUMBER

GETPGRP, PERSONALITY = 111, 135
X32_GETPGRP = 0x40000000 | GETPGRP
LOG = 2  # SECCOMP_FILTER_FLAG_LOG
FUTURE = 900  # no call has this number yet
# What a shell needs, and a runtime between loading the filter and the exec of the program. With no_new_privs the
# filter is loaded last, so setting ids and capabilities need not be in it.
ALLOWED = (
    "access arch_prctl brk chdir clock_gettime clone close close_range dup dup2 dup3 epoll_create1 epoll_ctl epoll_pwait "
    "execve execveat exit exit_group faccessat faccessat2 fchdir fcntl fork fstat fstatfs futex getcwd getdents64 "
    "getegid geteuid getgid getpgrp getpid getppid getrandom gettid getuid ioctl lseek lstat madvise mmap mprotect "
    "munmap nanosleep newfstatat open openat openat2 pipe pipe2 poll ppoll prctl pread64 prlimit64 read readlink "
    "readlinkat recvmsg rseq rt_sigaction rt_sigprocmask rt_sigreturn sched_yield sendfile sendmsg set_robust_list "
    "set_tid_address setpgid sigaltstack stat statx sysinfo tgkill time umask uname vfork wait4 write writev"
).split()


def filtered(box: Boxes, programs: Programs, number: int, *arguments: int, **seccomp: Any) -> Container:
    """A container that makes one system call under a profile."""
    made = box()
    words = [str(value) for value in (number, *arguments)]
    made.args(made.put(programs.path("probe")), "call", *words)
    made.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        **seccomp,
    }
    return made


def rule(action: str, *names: str, **more: Any) -> dict[str, Any]:
    """One entry of linux.seccomp.syscalls."""
    return {"names": list(names), "action": action, **more}


def errno_of(made: Container) -> int:
    """The errno the program reports."""
    return int(made.out().split()[-1])


def test_the_filter_is_on(box: Boxes) -> None:
    made = box("/bin/grep", "Seccomp:", "/proc/self/status")
    made.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [rule("SCMP_ACT_ERRNO", "personality")],
    }
    assert made.out().split() == ["Seccomp:", "2"]


def test_without_a_profile_there_is_no_filter(box: Boxes) -> None:
    if box.runtime.old_kernel:
        pytest.skip("an older kernel is a filter, too")
    assert box("/bin/grep", "Seccomp:", "/proc/self/status").out().split() == ["Seccomp:", "0"]


def test_errno_by_default_is_eperm(box: Boxes, programs: Programs) -> None:
    made = filtered(box, programs, GETPGRP, syscalls=[rule("SCMP_ACT_ERRNO", "getpgrp")])
    assert errno_of(made) == errno.EPERM


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EACCES, 0])
def test_errno_as_configured(box: Boxes, programs: Programs, number: int) -> None:
    made = filtered(box, programs, GETPGRP, syscalls=[rule("SCMP_ACT_ERRNO", "getpgrp", errnoRet=number)])
    assert errno_of(made) == number


@pytest.mark.parametrize(
    "action", ["SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP"]
)
def test_actions_that_end_the_process(box: Boxes, programs: Programs, action: str) -> None:
    made = filtered(box, programs, GETPGRP, syscalls=[rule(action, "getpgrp")])
    assert made.run(check=False).rc == 128 + signal.SIGSYS


@pytest.mark.parametrize("action", ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"])
def test_actions_that_let_the_call_through(box: Boxes, programs: Programs, action: str) -> None:
    made = filtered(box, programs, GETPGRP, syscalls=[rule(action, "getpgrp")])
    assert errno_of(made) == 0


def test_trace_without_a_tracer_is_enosys(box: Boxes, programs: Programs) -> None:
    made = filtered(box, programs, GETPGRP, syscalls=[rule("SCMP_ACT_TRACE", "getpgrp", errnoRet=7)])
    assert errno_of(made) == errno.ENOSYS


def test_a_default_action_that_denies(box: Boxes) -> None:
    """A whole program under an allow list, which is how engines write profiles."""
    made = box.sh("echo begin; mkdir /tmp/new; echo end")
    made.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.EXDEV,
        "syscalls": [rule("SCMP_ACT_ALLOW", *ALLOWED)],
    }
    made.process["noNewPrivileges"] = True
    found = made.run()
    assert found.lines() == ["begin", "end"]
    assert "Invalid cross-device link" in found.err
    assert not (made.rootfs / "tmp/new").exists()


@pytest.mark.parametrize("verb", ["run", "start"])
def test_a_profile_that_denies_even_the_end(box: Boxes, verb: str) -> None:
    """Neither execve(2), nor saying so, nor exit(2): the attempt must come to an end all the same."""
    made = box("/bin/true")
    made.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [rule("SCMP_ACT_ALLOW", "capset")],
    }
    if verb == "run":
        found = made.run(check=False).failed()
    else:
        made.create()
        found = made.start(check=False)
        made.wait()
        assert made.runtime.state(made.id)["status"] == "stopped"
    assert made.runtime.kind != "pyoci" or "seccomp filter" in found.failed().err


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("verb", ["run", "start", "exec"])
@pytest.mark.parametrize("missing", ["execve", "capset", "prctl"])
def test_an_allow_list_that_lets_the_init_say_nothing(box: Boxes, verb: str, missing: str) -> None:
    """No socket calls, no write, but the end is allowed: the error names the call, and the status is not the program's."""
    allowed = {
        "read",
        "close",
        "exit",
        "exit_group",
        "brk",
        "mmap",
        "arch_prctl",
        "execve",
        "capset",
        "prctl",
    }
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "syscalls": [rule("SCMP_ACT_ALLOW", *sorted(allowed - {missing}))],
    }
    made = box("/bin/true")
    made.process["capabilities"] = {
        name: ["CAP_KILL"] for name in ("bounding", "effective", "permitted", "inheritable", "ambient")
    }
    if verb == "exec":
        made.args("/bin/sleep", "1000").launch()
        assert made.runtime.root
        saved = made.runtime.root / made.id / "config.json"
        changed = json.loads(saved.read_text())
        changed["linux"]["seccomp"] = profile
        saved.write_text(json.dumps(changed))
        made.exec("/bin/true", check=False).failed("seccomp filter", f"{missing} (ERRNO)")
        return
    made.linux["seccomp"] = profile
    if verb == "run":
        made.run(check=False).failed("seccomp filter", f"{missing} (ERRNO)")
        return
    made.create()
    made.start(check=False).failed("seccomp filter", f"{missing} (ERRNO)")
    made.wait()


OPERATORS = [
    ("SCMP_CMP_EQ", 5, 0, 5, True),
    ("SCMP_CMP_EQ", 5, 0, 6, False),
    ("SCMP_CMP_NE", 5, 0, 6, True),
    ("SCMP_CMP_LT", 5, 0, 4, True),
    ("SCMP_CMP_LT", 5, 0, 5, False),
    ("SCMP_CMP_LE", 5, 0, 5, True),
    ("SCMP_CMP_GT", 5, 0, 6, True),
    ("SCMP_CMP_GE", 5, 0, 5, True),
    ("SCMP_CMP_GE", 5, 0, 4, False),
    ("SCMP_CMP_MASKED_EQ", 0xF0, 0x50, 0x5A, True),
    ("SCMP_CMP_MASKED_EQ", 0xF0, 0x50, 0x6A, False),
]


@pytest.mark.parametrize(("operator", "value", "second", "argument", "hit"), OPERATORS)
def test_arguments_are_compared(
    box: Boxes, programs: Programs, operator: str, value: int, second: int, argument: int, hit: bool
) -> None:
    args = [{"index": 0, "value": value, "valueTwo": second, "op": operator}]
    profile = [rule("SCMP_ACT_ERRNO", "getpgrp", args=args, errnoRet=errno.EXDEV)]
    assert errno_of(filtered(box, programs, GETPGRP, argument, syscalls=profile)) == (
        errno.EXDEV if hit else 0
    )


def test_several_arguments_must_all_match(box: Boxes, programs: Programs) -> None:
    args = [{"index": i, "value": i + 1, "op": "SCMP_CMP_EQ"} for i in (0, 1)]
    profile = [rule("SCMP_ACT_ERRNO", "getpgrp", args=args, errnoRet=errno.EXDEV)]
    assert errno_of(filtered(box, programs, GETPGRP, 1, 2, syscalls=profile)) == errno.EXDEV
    assert errno_of(filtered(box, programs, GETPGRP, 1, 3, syscalls=profile)) == 0


def test_rules_of_one_call_are_alternatives(box: Boxes, programs: Programs) -> None:
    profile = [
        rule(
            "SCMP_ACT_ERRNO",
            "getpgrp",
            args=[{"index": 0, "value": n, "op": "SCMP_CMP_EQ"}],
            errnoRet=errno.EXDEV,
        )
        for n in (1, 2)
    ]
    found = [errno_of(filtered(box, programs, GETPGRP, n, syscalls=profile)) for n in (1, 2, 3)]
    assert found == [errno.EXDEV, errno.EXDEV, 0]


def test_one_argument_compared_twice_is_an_alternative(box: Boxes, programs: Programs) -> None:
    """As runc reads it: several comparisons of one index within one rule are alternatives."""
    args = [{"index": 0, "value": n, "op": "SCMP_CMP_EQ"} for n in (1, 2)]
    profile = [rule("SCMP_ACT_ERRNO", "getpgrp", args=args, errnoRet=errno.EXDEV)]
    found = [errno_of(filtered(box, programs, GETPGRP, n, syscalls=profile)) for n in (1, 2, 3)]
    assert found == [errno.EXDEV, errno.EXDEV, 0]


def test_a_call_nobody_knows_is_ignored(box: Boxes, programs: Programs) -> None:
    profile = [rule("SCMP_ACT_ERRNO", "no_such_call", "getpgrp")]
    assert errno_of(filtered(box, programs, GETPGRP, syscalls=profile)) == errno.EPERM


def test_a_call_newer_than_the_profile_is_enosys(box: Boxes, programs: Programs) -> None:
    """A program that probes for a new call must learn that it isn't there, not that it isn't allowed."""
    made = filtered(box, programs, FUTURE)
    made.process["noNewPrivileges"] = True
    made.linux["seccomp"].update(defaultAction="SCMP_ACT_ERRNO", syscalls=[rule("SCMP_ACT_ALLOW", *ALLOWED)])
    assert errno_of(made) == errno.ENOSYS
    made = filtered(box, programs, PERSONALITY, 0)
    made.process["noNewPrivileges"] = True
    made.linux["seccomp"].update(defaultAction="SCMP_ACT_ERRNO", syscalls=[rule("SCMP_ACT_ALLOW", *ALLOWED)])
    assert errno_of(made) == errno.EPERM


@pytest.mark.parametrize(
    ("architectures", "i386", "x32"),
    [
        (["X86_64", "X86", "X32"], f"errno {errno.EXDEV}", f"errno {errno.EXDEV}"),
        (["X86"], f"errno {errno.EXDEV}", ""),
        (["X86_64"], "", ""),
        ([], "", ""),
    ],
    ids=["all", "i386", "own", "none"],
)
def test_several_architectures(
    box: Boxes, programs: Programs, architectures: list[str], i386: str, x32: str
) -> None:
    """The machine's own is always in the filter; a call of one that is not named kills, whatever the profile says."""
    made = filtered(
        box, programs, GETPGRP, syscalls=[rule("SCMP_ACT_ERRNO", "getpgrp", errnoRet=errno.EXDEV)]
    )
    made.linux["seccomp"]["architectures"] = [f"SCMP_ARCH_{name}" for name in architectures]
    probe, *_ = made.process["args"]
    assert errno_of(made) == errno.EXDEV
    for words, expected in ((("call-i386", "65"), i386), (("call", str(X32_GETPGRP)), x32)):
        found = made.args(probe, *words).run(check=False)
        assert (found.rc, expected in found.out) == (0 if expected else 128 + signal.SIGSYS, True), words


def test_an_architecture_of_the_other_byte_order_is_refused(box: Boxes, programs: Programs) -> None:
    made = filtered(box, programs, GETPGRP, syscalls=[rule("SCMP_ACT_ERRNO", "getpgrp")])
    made.linux["seccomp"]["architectures"] = ["SCMP_ARCH_X86_64", "SCMP_ARCH_S390X"]
    found = made.run(check=False).failed()
    assert made.runtime.kind != "pyoci" or "SCMP_ARCH_S390X has another byte order" in found.err


@pytest.mark.only("pyoci")
def test_a_call_nobody_knows_fails_where_crun_fails(box: Boxes, programs: Programs) -> None:
    """With crun's annotation, unless its value is 0."""
    made = filtered(box, programs, GETPGRP, syscalls=[rule("SCMP_ACT_ERRNO", "getpgrp", "no_such_call")])
    assert errno_of(made) == errno.EPERM
    made.config["annotations"] = {"run.oci.seccomp_fail_unknown_syscall": "0"}
    assert errno_of(made) == errno.EPERM
    made.config["annotations"] = {"run.oci.seccomp_fail_unknown_syscall": "1"}
    made.run(check=False).failed("unknown system call no_such_call")


@pytest.mark.only("pyoci")
def test_the_log_flag_is_in_force(box: Boxes) -> None:
    """The kernel tells who may trace. The container's process and what exec adds have it where it is asked for."""
    for flags, expected in ((["SECCOMP_FILTER_FLAG_LOG"], True), ([], False)):
        made = box("/bin/sleep", "1000")
        made.linux["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [rule("SCMP_ACT_ERRNO", "personality")],
            "flags": flags,
        }
        made.launch()
        made.exec("/bin/sleep", "1000", options=("--detach",))
        for pid in (made.pid, made.detached[0]):
            found = machine.seccomp_flags(pid)
            if found is None:
                pytest.skip("the kernel was built without CONFIG_CHECKPOINT_RESTORE")
            assert bool(found & LOG) is expected


@pytest.mark.parametrize(
    "flag", ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"]
)
def test_flags(box: Boxes, programs: Programs, flag: str) -> None:
    made = filtered(box, programs, GETPGRP, syscalls=[rule("SCMP_ACT_ERRNO", "getpgrp")], flags=[flag])
    assert errno_of(made) == errno.EPERM


@pytest.mark.parametrize(
    "broken",
    [
        {"defaultAction": "SCMP_ACT_NONSENSE"},
        {"architectures": ["SCMP_ARCH_NONSENSE"]},
        {"syscalls": [{"names": ["getpgrp"], "action": "SCMP_ACT_NONSENSE"}]},
        {"flags": ["SECCOMP_FILTER_FLAG_NONSENSE"]},
    ],
)
def test_what_is_unknown_is_refused(box: Boxes, programs: Programs, broken: dict[str, Any]) -> None:
    made = filtered(box, programs, GETPGRP, **broken)
    made.run(check=False).failed("NONSENSE")


def test_with_no_new_privileges(box: Boxes, programs: Programs) -> None:
    made = filtered(box, programs, GETPGRP, syscalls=[rule("SCMP_ACT_ERRNO", "getpgrp")])
    made.process["noNewPrivileges"] = True
    made.process["user"] = {"uid": 1000, "gid": 1000}
    made.capabilities()
    assert errno_of(made) == errno.EPERM


def test_without_no_new_privileges_and_without_capabilities(box: Boxes, programs: Programs) -> None:
    """The filter goes in before the capabilities it needs are gone."""
    made = filtered(box, programs, GETPGRP, syscalls=[rule("SCMP_ACT_ERRNO", "getpgrp")])
    made.process["noNewPrivileges"] = False
    made.capabilities()
    assert errno_of(made) == errno.EPERM


def test_the_runtimes_own_calls_do_not_count(box: Boxes) -> None:
    """A profile that denies what the setup of the container needs still works: it begins with the program."""
    made = box.sh("echo hi")
    names = [
        "mount",
        "umount2",
        "pivot_root",
        "sethostname",
        "setns",
        "unshare",
        "capset",
        "setuid",
        "setgid",
        "setgroups",
    ]
    names += ["chdir", "keyctl", "mknod", "move_mount", "fsopen", "open_tree", "mount_setattr", "setrlimit"]
    made.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule("SCMP_ACT_ERRNO", *names)]}
    made.process["noNewPrivileges"] = True
    assert made.out() == "hi\n"


def test_a_profile_is_the_same_the_second_time(box: Boxes, programs: Programs) -> None:
    """A cached program does what the compiled one did, and another profile is not taken for it."""
    for number in (errno.EXDEV, errno.EXDEV, errno.EACCES):
        made = filtered(box, programs, GETPGRP, syscalls=[rule("SCMP_ACT_ERRNO", "getpgrp", errnoRet=number)])
        assert errno_of(made) == number


def test_exec_is_filtered_too(box: Boxes, programs: Programs) -> None:
    made = filtered(box, programs, GETPGRP, syscalls=[rule("SCMP_ACT_ERRNO", "getpgrp")])
    probe = made.process["args"][0]
    made.args("/bin/sleep", "1000").launch()
    assert made.exec(probe, "call", str(GETPGRP)).out.split()[-1] == str(errno.EPERM)
