"""seccomp record: what a container and all its processes call, and the smallest profile that allows it.

Each call asks us, is noted and goes on, whatever its pointers lead to by then. So a container that is recorded is confined by no
filter. That takes no decision from anybody: there is none to take before a profile is there.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, cast

from pyoci._shim import ffi, lib
from pyoci.base.errors import OciError
from pyoci.seccomp import bpf, names, verdict
from pyoci.seccomp.supervisor import NOTIFY, Supervisor, listening
from pyoci.spec.seccomp_words import ARCHITECTURE

if TYPE_CHECKING:
    from collections.abc import Collection

    from pyoci.base.log import Log
    from pyoci.spec.spec_types import Seccomp, Spec

_DENY, _ALLOW = "SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW"


class Recorder(Supervisor):
    """What was called.

    began  there is something: the container has been under the filter
    """

    asked_by = "seccomp record"

    def __init__(self) -> None:
        super().__init__()
        self.began = False
        self._afterwards: set[str] = set()

    def check(self, spec: Spec) -> None:
        """Raise OciError for what can't be recorded."""
        super().check(spec)
        if lib.pyoci_seccomp_open() < 0:
            hint = "install libseccomp 2.4 or newer (Debian: libseccomp2)"
            message = "seccomp record needs libseccomp, which knows the names of system calls"
            raise OciError("seccomp", message, hint=hint)
        self._afterwards = verdict.afterwards(bool(spec.get("process", {}).get("noNewPrivileges")))

    def filter(self, seccomp: tuple[bytes, int] | None) -> tuple[bytes, int] | None:
        """A filter that asks at every call, whatever the configuration has."""
        return bpf.instruction(bpf.RETURN, NOTIFY), listening(0)

    def start(self, listener: int) -> None:
        """Begin to record. Raises OciError."""
        super().start(listener)
        self.began = True

    def _serve(self, listener: int, control: int) -> None:
        _be_quick(listener)
        found = ffi.new("struct pyoci_recording *")
        lib.pyoci_notification_record(listener, control, found)
        for index in range(found.filled):
            entry = found.calls[index]
            self.calls[entry.number, entry.arch, 0, b"", (), ()] = (entry.count, ())
        self.more = found.more

    def profile(self) -> Seccomp:
        """What allows the calls, and what the init of pyoci has to call under a filter."""
        called = set(self._afterwards)
        tokens = {lib.pyoci_seccomp_native()}
        for number, arch, *_ in self.calls:
            token = names.token(arch, number)
            name = names.call(token, number)
            if name:
                called.add(name)
                tokens.add(token)
        return _profile({ARCHITECTURE + names.architecture(token) for token in tokens}, called)

    def report(self, log: Log) -> None:
        """Warn of what the profile lacks."""
        for number, arch, *_ in sorted(self.calls):
            token = names.token(arch, number)
            if not names.call(token, number):
                log.warning(f"libseccomp has no name for system call {number} of {names.architecture(token)}")
        if self.more:
            log.warning("there were more different system calls than are kept: the profile may lack some")


def _be_quick(listener: int) -> None:
    """Come before the processes that wait for us: share_a_processor() in csrc/shim/notification.c tells why."""
    lib.pyoci_notification_wake_here(listener)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:  # without privilege as any other
        pass


def _profile(architectures: Collection[str], allowed: Collection[str]) -> Seccomp:
    found = {
        "defaultAction": _DENY,
        "defaultErrnoRet": errno.EPERM,
        "architectures": sorted(architectures),
        "syscalls": [{"names": sorted(allowed), "action": _ALLOW}],
    }
    return cast("Seccomp", found)


def joined(profile: Seccomp, older: Seccomp) -> Seccomp:
    """What allows what either of two profiles allows; `older` is one that check_older() has let pass."""
    both = (older, profile)
    architectures = {name for each in both for name in each.get("architectures") or ()}
    allowed = {name for each in both for rule in each.get("syscalls") or () for name in rule["names"]}
    return _profile(architectures, allowed)


def check_older(profile: Seccomp | None, name: str, pointer: str) -> Seccomp:
    """The profile itself. Raises OciError for one that is not as seccomp record writes it: its names alone do not tell all of it.

    profile        None where a config.json has none
    name, pointer  of its file, and where it is in that
    """
    if profile is None:
        raise _not_joined(name, pointer, "it has no profile, and so allows everything")
    if profile["defaultAction"] != _DENY or profile.get("defaultErrnoRet", errno.EPERM) != errno.EPERM:
        raise _not_joined(
            name, f"{pointer}/defaultAction", "its default action is not SCMP_ACT_ERRNO with EPERM"
        )
    for index, rule in enumerate(profile.get("syscalls") or ()):
        place = f"{pointer}/syscalls/{index}"
        if rule["action"] != _ALLOW:
            raise _not_joined(name, f"{place}/action", f"a rule of it has the action {rule['action']}")
        if rule.get("args"):
            raise _not_joined(name, f"{place}/args", "a rule of it has conditions on arguments")
    for member in ("flags", "listenerPath", "listenerMetadata"):
        if member in profile:
            raise _not_joined(name, f"{pointer}/{member}", f"it has {member}")
    return profile


def _not_joined(name: str, pointer: str, why: str) -> OciError:
    hint = "--merge takes profiles as seccomp record writes them"
    return OciError("seccomp-record", f"{name} cannot be joined: {why}", pointer=pointer, obj=name, hint=hint)
