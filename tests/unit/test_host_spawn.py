"""The words for a clone that fails."""

from __future__ import annotations

import errno
import posix

import pytest

from pyoci.base import files
from pyoci.base.errors import OciError
from pyoci.host.spawn import not_started
from pyoci.lifecycle.create import NewContainer
from pyoci.lifecycle.session import ContainerProcess
from pyoci.spec.namespaces import NEWPID, NEWUSER


def test_a_process_that_cannot_be_started() -> None:
    assert "in new user and pid namespaces" in not_started(errno.ENOSPC, NEWPID | NEWUSER).text()
    assert "/proc/sys/user" in not_started(errno.ENOSPC, NEWPID).hint
    assert "needs a new user namespace" in not_started(errno.EPERM, NEWPID).hint
    assert not_started(errno.EPERM, NEWPID | NEWUSER).hint == ""
    assert "RLIMIT_NPROC" in not_started(errno.EAGAIN, 0).hint
    assert not_started(errno.EINVAL, NEWPID).pointer == "/linux/namespaces"
    assert not_started(errno.EAGAIN, 0).pointer == ""


SYSCTLS = "/proc/sys/kernel"
APPARMOR = {f"{SYSCTLS}/apparmor_restrict_unprivileged_userns": "1"}
PROFILE = "/proc/self/attr/apparmor/current"


@pytest.mark.parametrize(
    ("user", "found", "words"),
    [
        (1000, {}, ""),
        (1000, {"/proc/sys/user/max_user_namespaces": "0"}, "sysctl user.max_user_namespaces"),
        (1000, {f"{SYSCTLS}/unprivileged_userns_clone": "0"}, "sysctl kernel.unprivileged_userns_clone=1"),
        (1000, APPARMOR | {PROFILE: "unconfined"}, "kernel.apparmor_restrict_unprivileged_userns is 1"),
        (1000, APPARMOR, "with `userns,`"),
        (1000, APPARMOR | {PROFILE: "pyoci (unconfined)"}, ""),
        (1000, {f"{SYSCTLS}/apparmor_restrict_unprivileged_userns": "0"}, ""),
        (0, APPARMOR, ""),
    ],
)
def test_what_keeps_user_namespaces_from_users(
    monkeypatch: pytest.MonkeyPatch, user: int, found: dict[str, str], words: str
) -> None:
    """A clone that is refused says which switch does it; where it is not, the op that AppArmor refuses in it."""

    def read(path: str) -> bytes:
        if path not in found:
            raise FileNotFoundError(errno.ENOENT, path)
        return f"{found[path]}\n".encode()

    monkeypatch.setattr(files, "read", read)
    monkeypatch.setattr(posix, "geteuid", lambda: user)
    for number in (errno.EPERM, errno.EACCES):
        hint = not_started(number, NEWUSER | NEWPID).hint
        assert words in hint and bool(hint) is bool(words)
    monkeypatch.setattr(ContainerProcess, "__exit__", lambda *_: None)
    container = NewContainer.__new__(NewContainer)
    for kinds in (["user"], []):
        container.spec = {"ociVersion": "1.0.0", "linux": {"namespaces": [{"type": "user"} for _ in kinds]}}
        error = OciError("mount", "a mount", errno=errno.EACCES, op="mount_setattr", hint="another")
        container.__exit__(OciError, error, None)
        restricted = bool(kinds) and ("apparmor" in words or "userns," in words)
        assert ("(docs/rootless.md)" in error.hint) is restricted and (
            error.hint == "another"
        ) is not restricted
