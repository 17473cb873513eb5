"""What a `create` or `run` of a bundle will do, found out from the same facts; nothing is made, written or changed for it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pyoci import userns
from pyoci.base.context import Context
from pyoci.base.errors import from_os_error
from pyoci.cgroups.base import Manager
from pyoci.host.inherited import Inherited
from pyoci.lifecycle import facts
from pyoci.lifecycle.create import intent
from pyoci.lifecycle.requests import CreateRequest
from pyoci.plan import compiler
from pyoci.plan import namespaces as namespace_ops
from pyoci.plan.ops import Plan
from pyoci.spec import bundle as bundles
from pyoci.spec import namespaces


class Preview:
    """A container that is not there.

    bundle, spec   loaded and checked            request   as of the command line
    namespaces     its namespaces, sorted        waits     for `start` (create), or not (run)
    manager        of its cgroups, or None       plans     by name: early, prepare, finish
    """

    def __init__(self, context: Context, request: CreateRequest, *, waits: bool) -> None:
        """Raises OciError where `create` would for this bundle, by this caller, on this host."""
        self.request = request
        self.waits = waits
        self.bundle = bundles.load(request.bundle, request.config)
        try:
            self.bundle.check(systemd=request.cgroup_manager == "systemd")
            self.bundle.find_rootfs()
            self.spec = self.bundle.spec
            self.namespaces = namespaces.sort(self.spec)
            self.rdt = facts.resctrl_of(self.spec, request.id)
            self.manager = self._foresee_cgroup(context)
            self.plans = self._compile(context)
        finally:
            self.bundle.close()

    def _foresee_cgroup(self, context: Context) -> Manager | None:
        manager = facts.manager_of(self.request, self.spec, context.spans)
        if manager:
            manager.foresee()
        return manager

    def _compile(self, context: Context) -> dict[str, Plan]:
        manager = self.manager
        cgroup_fds = len(manager.spawn_files()) if manager and not manager.late else 0
        known = facts.Known(self.spec, self.bundle.rootfs, Inherited(self.request.preserve_fds))
        known.cgroup_fds = 0 if self.namespaces.forks else cgroup_fds
        known.can_set_groups = self._may_set_groups()
        known.keep_filter = False
        found = facts.gather_new(
            self.request,
            known,
            context.spans,
            manager=manager,
            record=intent(self.request, self.bundle, manager),
            waits=self.waits,
        )
        compiled = compiler.compile_container(self.spec, found)
        for warning, pointer in compiled.warnings.items():
            context.log.warning(warning, pointer=pointer)
        early = namespace_ops.early(self.spec, self.namespaces, cgroup_fds)
        return {"early": early, "prepare": compiled.prepare, "finish": compiled.finish}

    def _may_set_groups(self) -> bool:
        if self.namespaces.joins_user:
            path = next(path for kind, path, _ in self.namespaces.joined if kind == "user")
            try:
                return userns.may_set_groups(_process_in(path))
            except (FileNotFoundError, ProcessLookupError) as error:
                message = f"user namespace {path}: its process has ended"
                raise from_os_error(
                    "namespace", message, error, pointer="/linux/namespaces", obj=path
                ) from None
        return facts.may_set_groups(self.spec, rootless=facts.is_rootless(self.request))


def _process_in(path: str) -> int | str:
    """A process in the user namespace of this file: `create` has its own there. "self" where none is seen."""
    named = re.fullmatch(r"/proc/(\d+|self)/ns/user", path)
    if named:
        return named[1]
    try:
        wanted = os.stat(path).st_ino
    except OSError:
        return "self"
    for entry in Path("/proc").glob("[0-9]*/ns/user"):
        try:
            if entry.stat().st_ino == wanted:
                return int(entry.parts[2])
        except OSError:
            continue
    return "self"
