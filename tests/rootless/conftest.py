"""Fixtures for containers of ordinary users.

As root the runtime is called as user `nobody`; as an ordinary user (the second lane, see docs) it is called as that user.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes
from harness.bundle import RootFilesystem, chown_tree
from harness.runtime import Runtime

NOBODY = 65534


class RootlessContainer(Container):
    """A container of an ordinary user, with the configuration that `spec --rootless` writes."""

    def __init__(self, runtime: Runtime, directory: Path, id: str, filesystem: RootFilesystem) -> None:
        super().__init__(runtime, directory, id, filesystem)
        self.owner = runtime.user
        self.give()
        runtime.call("spec", "--rootless", "--bundle", str(directory)).ok()
        self.config: dict[str, Any] = json.loads((directory / "config.json").read_text())
        self.process["terminal"] = False
        self.config["root"]["readonly"] = False
        self.process["env"] = ["PATH=/bin", "TERM=xterm"]
        self.linux.pop("cgroupsPath", None)

    def give(self) -> None:
        """Let the user own the bundle."""
        if self.owner is not None:
            chown_tree(self.directory, self.owner, self.owner)

    def save(self) -> None:
        """Write config.json as it stands."""
        super().save()
        self.give()


class RootlessBoxes(Boxes):
    """Makes containers of an ordinary user."""

    def __call__(self, *args: str) -> Container:
        """A new container, not yet created, with this command."""
        id = f"{self.prefix}-{os.path.basename(self.folder)}-{len(self.made)}"
        box = RootlessContainer(self.runtime, self.folder / f"bundle{len(self.made)}", id, self.filesystem)
        if args:
            box.args(*args)
        self.made.append(box)
        return box


@pytest.fixture
def user() -> int:
    """The uid that the runtime runs as."""
    return NOBODY if os.geteuid() == 0 else os.geteuid()


@pytest.fixture
def rootless(
    runtime: Runtime, folder: Path, filesystem: RootFilesystem, scratch: Path, user: int
) -> Iterator[RootlessBoxes]:
    """A maker of an ordinary user's containers."""
    if reason := machine.user_namespaces_unprivileged():
        pytest.skip(reason)
    if os.geteuid() == 0:
        os.chown(folder, user, user)
        runtime.user = user
    boxes = RootlessBoxes(runtime, folder, filesystem, scratch.name)
    yield boxes
    boxes.finish()
