"""A tree of the host that no container may read or change."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from .box import Container
from .leaks import mounts
from .runtime import Result


class Canary:
    """A tree of the host with something of each kind in it."""

    def __init__(self, top: Path) -> None:
        self.top = top
        for name in ("self/attr", "sys/kernel", "pts", "shm", "fd", "null", "fs/cgroup"):
            (top / name).mkdir(parents=True)
        for name in (
            "passwd",
            "group",
            "console",
            "core_pattern",
            "ptmx",
            "self/attr/exec",
            "sys/kernel/core_pattern",
        ):
            (top / name).write_text(f"canary {name}\n")
            (top / name).chmod(0o640)
            os.chown(top / name, 12345, 23456)
        os.mknod(top / "zero", stat.S_IFCHR | 0o600, os.makedev(1, 5))
        os.symlink("passwd", top / "link")
        os.mkfifo(top / "fifo", 0o600)
        top.chmod(0o751)
        self.before = self.look()
        self.null = os.stat("/dev/null")
        self.mounts = mounts()
        self.looked = False

    def look(self) -> dict[str, tuple[Any, ...]]:
        """Everything that can be known of each entry, without reading times."""
        found = {}
        for folder, folders, files in os.walk(self.top):
            for name in [".", *folders, *files]:
                path = os.path.join(folder, name)
                s = os.lstat(path)
                content = os.readlink(path) if stat.S_ISLNK(s.st_mode) else ""
                if stat.S_ISREG(s.st_mode):
                    content = Path(path).read_bytes().decode()
                known = (
                    s.st_ino,
                    s.st_mode,
                    s.st_uid,
                    s.st_gid,
                    s.st_rdev,
                    s.st_size,
                    s.st_mtime_ns,
                    s.st_ctime_ns,
                )
                found[os.path.normpath(path)] = (*known, content)
        return found

    def survives(self, made: Container) -> Result:
        """Run the container, however that ends, and assert that nothing of the host changed."""
        found = made.run(check=False)
        self.untouched()
        return found

    def untouched(self) -> None:
        """Assert that nothing changed: the tree, the host's /dev/null, the mount table."""
        self.looked = True
        after = self.look()
        changed = [path for path in self.before if after.get(path) != self.before[path]]
        added = [path for path in after if path not in self.before]
        assert (changed, added) == ([], []), "the host's files were touched"
        null = os.stat("/dev/null")
        for name in ("st_mode", "st_uid", "st_gid", "st_rdev", "st_ino"):
            assert getattr(null, name) == getattr(self.null, name), (
                f"the {name} of the host's /dev/null was changed"
            )
        now = mounts()
        gone, new = (
            [m for m in one if m not in two] for one, two in ((self.mounts, now), (now, self.mounts))
        )
        assert now == self.mounts, f"the host's mounts were changed: gone {gone}, new {new}"
