"""The words for a clone that fails."""

from __future__ import annotations

import errno

from pyoci.host.spawn import not_started
from pyoci.spec.namespaces import NEWPID, NEWUSER


def test_a_process_that_cannot_be_started() -> None:
    assert "in new user and pid namespaces" in not_started(errno.ENOSPC, NEWPID | NEWUSER).text()
    assert "/proc/sys/user" in not_started(errno.ENOSPC, NEWPID).hint
    assert "needs a new user namespace" in not_started(errno.EPERM, NEWPID).hint
    assert not_started(errno.EPERM, NEWPID | NEWUSER).hint == ""
    assert "RLIMIT_NPROC" in not_started(errno.EAGAIN, 0).hint
    assert not_started(errno.EINVAL, NEWPID).pointer == "/linux/namespaces"
    assert not_started(errno.EAGAIN, 0).pointer == ""
