"""The maker of the containers of one test."""

from __future__ import annotations

import os
from pathlib import Path

from .box import Container
from .bundle import RootFilesystem
from .runtime import Runtime


class Boxes:
    """Makes the containers of one test."""

    def __init__(self, runtime: Runtime, folder: Path, filesystem: RootFilesystem, prefix: str) -> None:
        self.runtime = runtime
        self.folder = folder
        self.filesystem = filesystem
        self.prefix = prefix
        self.made: list[Container] = []

    def __call__(self, *args: str) -> Container:
        """A new container, not yet created, with this command."""
        id = f"{self.prefix}-{os.path.basename(self.folder)}-{len(self.made)}"
        box = Container(self.runtime, self.folder / f"bundle{len(self.made)}", id, self.filesystem)
        if args:
            box.args(*args)
        self.made.append(box)
        return box

    def sh(self, script: str) -> Container:
        """A new container, not yet created, that runs a shell script."""
        return self("/bin/sh", "-c", script)

    def finish(self) -> None:
        """Complain of state that no container of the test accounts for, then remove what is left."""
        known = {box.id for box in self.made if box.expected}
        root = self.runtime.root
        there = set(os.listdir(root)) if root and root.is_dir() else set()
        for box in self.made:
            box.finish()
        unknown = there - known
        assert not unknown, f"the runtime holds containers that should not exist: {sorted(unknown)}"
