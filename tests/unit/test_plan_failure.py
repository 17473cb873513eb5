"""Failures of the init in words: what engines look for, which property it was, what to do about it."""

from __future__ import annotations

import errno

import pytest

from pyoci import _ops as ops
from pyoci.plan import failure, hints


def explain(name: str, about: str, error: int, step: str, obj: str = "", pointer: str = "/x") -> str:
    assert name in ops.OPS and step in ops.STEPS
    found = failure.explain(ops.Op(name, pointer, about), error, step, obj)
    assert found.pointer == pointer
    return found.text() + (f" ({found.hint})" if found.hint else "")


@pytest.mark.parametrize("name", ops.OPS)
def test_every_op_can_fail_in_words(name: str) -> None:
    found = failure.explain(ops.Op(name, "/pointer", "what it is about"), errno.EINVAL, "open", "object")
    assert found.pointer == "/pointer"
    assert found.text().endswith("invalid argument")
    assert found.op == name


def test_a_hint_is_for_an_op_that_is_there() -> None:
    assert {name for name, _, _ in hints._HINTS} <= set(ops.OPS)
    assert {step for _, step, _ in hints._HINTS} <= set(ops.STEPS)
    assert {step for _, step in hints._LABELS} | set(hints._MAKING) | set(failure._IN_ROOTFS) <= set(
        ops.STEPS
    )


@pytest.mark.parametrize(
    ("step", "obj", "error", "text"),
    [
        ("path", "nope", errno.ENOENT, 'exec: "nope": executable file not found in $PATH'),
        ("path", "x", errno.EACCES, 'exec: "x": permission denied'),
        ("executable", "/nope", errno.ENOENT, 'exec: "/nope": stat /nope: no such file or directory'),
        ("executable", "/etc", errno.EISDIR, 'exec: "/etc": is a directory: permission denied'),
        ("execve", "/x", errno.ENOEXEC, 'exec: "/x": exec format error (the file is neither a program for this machine'),
        ("executable", "/proc/self/exe", errno.ELOOP, "a magic link of /proc: name the file itself"),
        ("interpreter", "/a needs the interpreter /l", errno.ENOENT, "the interpreter /l is missing in the rootfs: exec /a: no"),
        ("interpreter", "/a needs the interpreter /l", errno.EACCES, "the interpreter /l can't be executed: exec /a: permission"),
        ("interpreter", "/a needs the interpreter /l\r", errno.ENOENT, "ends with a carriage return"),
        ("machine", "/a is for ELF machine 183", errno.ENOEXEC, "the program is for aarch64, and this machine is "),
        ("machine", "/a is for ELF machine 4711", errno.ENOEXEC, "the program is for another machine (4711), and"),
        ("execve", "/a", errno.E2BIG, "a quarter of RLIMIT_STACK"),
    ],
)  # fmt: skip
def test_program(step: str, obj: str, error: int, text: str) -> None:
    assert text in explain("find_executable", "program x", error, step, obj)


def test_directory() -> None:
    assert explain("chdir", "directory /w", errno.ENOTDIR, "chdir", "/w") == (
        'chdir to cwd ("/w") set in config.json failed: not a directory (it is a file in the rootfs)'
    )
    assert "it is outside the container: operation not permitted" in explain(
        "chdir", "directory /proc/self/fd/9", errno.EXDEV, "getcwd"
    )


def test_hook() -> None:
    words, at = "exit status 3, stdout: a\nb, stderr: ", "/hooks/createContainer/4"
    assert explain("hook", "createContainer hook /h", 0, "hook", words, at) == (
        "error running createContainer hook #4: exit status 3, stdout: a | b, stderr:  (the hook is /h)"
    )


@pytest.mark.parametrize(
    ("code", "about", "error", "step", "obj", "text"),
    [
        ("fsmount", "tmpfs on /t", errno.EINVAL, "fsconfig", "mode=9", "tmpfs on /t: fsconfig mode=9: invalid argument"),
        ("fsmount", "tmpfs on /t", errno.EINVAL, "fsconfig", "context=a:b", "has no SELinux, or it is off: omit linux.mount"),
        ("fsmount", "foo on /t", errno.ENODEV, "fsopen", "foo", "the kernel does not know this file system type"),
        ("mountpoint", "proc on /proc", errno.ELOOP, "openat2", "/proc", "must be mounted on ordinary directory"),
        ("mountpoint", "tmpfs on /dev", errno.EACCES, "mkdir", "/dev", "/dev: mkdir /dev in the rootfs: permission denied"),
        ("mountpoint", "tmpfs on /dev", errno.EACCES, "mkdir", "/dev", "may not write there: create /dev in the rootfs"),
        ("mknod", "device /dev/x", errno.EROFS, "mkdir", "/dev", "is read-only: create /dev beforehand"),
        ("chdir", "directory /a/b", errno.EACCES, "mkdir", "/a", "failed: mkdir /a in the rootfs: permission denied"),
        ("move_mount", "bind of /a on /b", errno.ENOTDIR, "move_mount", "", "a directory can only be mounted onto a directory"),
        ("mount_setattr", "bind of /a on /b", errno.ENOSYS, "mount_setattr", "", "this kernel has no mount_setattr"),
        ("set_mempolicy", "memory policy", errno.ENOSYS, "set_mempolicy", "", "without CONFIG_NUMA"),
        ("set_mempolicy", "memory policy", errno.EINVAL, "set_mempolicy", "", "MPOL_WEIGHTED_INTERLEAVE with 6.9"),
        ("unshare", "new namespaces: net", errno.ENOSPC, "unshare", "", "/proc/sys/user/max_*_namespaces"),
        ("setrlimit", "RLIMIT_NOFILE 1:2", errno.EPERM, "setrlimit", "", "CAP_SYS_RESOURCE"),
        ("console", "terminal", errno.ENOENT, "openat2", "ptmx", "a terminal needs devpts on /dev/pts: add that mount"),
        ("seccomp", "filter of 3 instructions", errno.EINVAL, "seccomp", "", "does not support a flag or an action"),
        ("write_procfs", "sysctl net.x", errno.ENOENT, "open", "sys/net/x", "open /proc/sys/net/x: no such file"),
    ],
)  # fmt: skip
def test_hints(code: str, about: str, error: int, step: str, obj: str, text: str) -> None:
    assert text in explain(code, about, error, step, obj)


@pytest.mark.parametrize(
    ("pointer", "code"),
    [
        ("/process/args", "program"),
        ("/hooks/startContainer/0", "hook"),
        ("/process/rlimits/0", "rlimit"),
        ("/process/apparmorProfile", "apparmor"),
        ("/linux/seccomp", "seccomp"),
        ("", "setup"),
    ],
)
def test_a_step_that_is_not_known(pointer: str, code: str) -> None:
    """An init of a version before 0.2 told it, and pointer and about are all that there is."""
    error = failure.explain(ops.Op("", pointer, "this"), errno.EPERM, "", "write self/attr")
    assert (error.code, error.pointer) == (code, pointer)
    assert error.text() == "this failed: write self/attr: operation not permitted"


def test_an_init_that_went_without_a_word() -> None:
    assert "was killed" in failure.init_ended("prepare", 9).text()
    assert failure.init_ended("exec", 31).pointer == "/linux/seccomp"
    assert failure.init_ended("x", 11).text().endswith("signal 11")
    assert failure.init_ended("x", 1 << 8).text().endswith("exit status 1")
    assert failure.init_ended("x", None).code == "init-died"
