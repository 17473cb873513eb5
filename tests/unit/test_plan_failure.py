"""Failures of the init in words: what engines look for, which property it was, what to do about it."""

from __future__ import annotations

import errno

import pytest
from unit import plans

from pyoci._shim import lib
from pyoci.plan import failure

CODES = {name for name in dir(lib) if name.startswith("OP_")} - {"OP_NONE", "OP_COUNT"}


def explain(code: str, about: str, error: int, step: str, obj: str = "", pointer: str = "/x") -> str:
    found = failure.explain(getattr(lib, code), pointer, about, error, f"{step}\0{obj}\0".encode())
    assert found.pointer == pointer
    return found.text() + (f" ({found.hint})" if found.hint else "")


def test_names_of_ops() -> None:
    assert failure.op_name(lib.OP_MOUNT_NEW) == "mount new"
    assert failure.symbol(lib.OP_EXEC) == "OP_EXEC"
    assert failure.symbol(9999) == "OP_9999"
    assert {failure.symbol(code) for code in plans.NAMES} >= CODES


@pytest.mark.parametrize("name", sorted(CODES))
def test_every_op_can_fail_in_words(name: str) -> None:
    found = failure.explain(
        getattr(lib, name), "/pointer", "what it is about", errno.EINVAL, b"step\0object\0"
    )
    assert found.pointer == "/pointer"
    assert found.text().endswith("invalid argument")
    assert found.op == failure.op_name(getattr(lib, name)) or name == "OP_HOOK"


def test_no_code_is_given_to_an_op_that_is_not_there() -> None:
    assert set(failure._CODES) <= CODES


@pytest.mark.parametrize(
    ("step", "obj", "error", "text"),
    [
        ("path", "nope", errno.ENOENT, 'exec: "nope": executable file not found in $PATH'),
        ("path", "x", errno.EACCES, 'exec: "x": permission denied'),
        ("executable", "/nope", errno.ENOENT, 'exec: "/nope": stat /nope: no such file or directory'),
        ("executable", "/etc", errno.EISDIR, 'exec: "/etc": is a directory: permission denied'),
        ("execve", "/x", errno.ENOEXEC, 'exec: "/x": exec format error (neither a program for this machine'),
        ("executable", "/proc/self/exe", errno.ELOOP, "a magic link of /proc can't be the program"),
        ("interpreter", "/a needs the interpreter /lib/ld.so", errno.ENOENT, 'exec: "/a": its interpreter /lib/ld.so: no such'),
        ("interpreter", "/a needs the interpreter /lib/ld.so", errno.ENOENT, "/lib/ld.so is missing in the rootfs"),
    ],
)  # fmt: skip
def test_program(step: str, obj: str, error: int, text: str) -> None:
    assert text in explain("OP_FIND_EXECUTABLE", "program x", error, step, obj)


def test_directory() -> None:
    assert explain("OP_CWD", "directory /w", errno.ENOTDIR, "chdir", "/w") == (
        'chdir to cwd ("/w") set in config.json failed: not a directory (it is a file in the rootfs)'
    )
    assert "it is outside of the container: operation not permitted" in explain(
        "OP_CWD", "directory /proc/self/fd/9", errno.EXDEV, "getcwd"
    )


def test_hook() -> None:
    assert explain("OP_HOOK", "createContainer hook /h", 0, "hook", "exit status 3: a\n b") == (
        "createContainer hook /h failed: exit status 3: a b"
    )
    text = explain("OP_HOOK", "createContainer hook /h", errno.ETIMEDOUT, "hook", "words")
    assert text == "createContainer hook /h did not end within its timeout: words"


@pytest.mark.parametrize(
    ("code", "about", "error", "step", "obj", "text"),
    [
        ("OP_MOUNT_NEW", "tmpfs on /t", errno.EINVAL, "fsconfig", "mode=9", "tmpfs on /t: fsconfig mode=9: invalid argument"),
        ("OP_MOUNT_NEW", "foo on /t", errno.ENODEV, "fsopen", "foo", "the kernel does not know this file system type"),
        ("OP_TARGET", "proc on /proc", errno.ELOOP, "open", "/proc", "is a symbolic link in the rootfs"),
        ("OP_ATTACH", "bind of /a on /b", errno.ENOTDIR, "move_mount", "", "a directory can only be mounted onto a directory"),
        ("OP_MOUNT_ATTR", "bind of /a on /b", errno.ENOSYS, "mount_setattr", "", "this kernel has no mount_setattr"),
        ("OP_UNSHARE", "new namespaces: net", errno.ENOSPC, "unshare", "", "/proc/sys/user/max_*_namespaces"),
        ("OP_RLIMIT", "RLIMIT_NOFILE 1:2", errno.EPERM, "setrlimit", "", "CAP_SYS_RESOURCE"),
        ("OP_CONSOLE", "terminal", errno.ENOENT, "open", "ptmx", "a terminal needs a devpts mounted on /dev/pts"),
        ("OP_SECCOMP", "filter of 3 instructions", errno.EINVAL, "seccomp", "", "does not know a flag or an action"),
        ("OP_PROC_WRITE", "sysctl net.x", errno.ENOENT, "open", "sys/net/x", "open /proc/sys/net/x: no such file"),
    ],
)  # fmt: skip
def test_hints(code: str, about: str, error: int, step: str, obj: str, text: str) -> None:
    assert text in explain(code, about, error, step, obj)


def test_an_init_that_went_without_a_word() -> None:
    assert "was killed" in failure.died("prepare", 9).text()
    assert failure.died("exec", 31).pointer == "/linux/seccomp"
    assert failure.died("x", 11).text().endswith("signal 11")
    assert failure.died("x", 1 << 8).text().endswith("exit status 1")
    assert failure.died("x", None).code == "init-died"


def test_an_init_that_was_not_born() -> None:
    assert "in new pid and user namespaces" in failure.not_born(errno.ENOSPC, ["pid", "user"]).text()
    assert "needs a user namespace" in failure.not_born(errno.EPERM, ["pid"]).hint
    assert "RLIMIT_NPROC" in failure.not_born(errno.EAGAIN, []).hint
    assert failure.not_born(errno.EINVAL, ["pid"]).pointer == "/linux/namespaces"
    assert failure.not_born(errno.EAGAIN, []).pointer == ""
