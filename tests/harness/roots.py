"""ROOT at the places where engines have it."""

from __future__ import annotations

import os
from pathlib import Path

from .box import Container

# Mode and name of each directory: the first is the host's, the others are the engine's or the runtime's, the last is ROOT.
ENGINES = {
    "podman": [(0o755, "run"), (0o700, "pyoci")],
    "buildah": [(0o755, "run"), (0o700, "pyoci")],
    "docker": [(0o755, "run"), (0o711, "docker"), (0o700, "runtime-runc"), (0o700, "moby")],
    "containerd": [(0o755, "run"), (0o711, "containerd"), (0o711, "runc"), (0o711, "default")],
    "docker below /tmp": [
        (0o1777, "tmp"),
        (0o711, "d"),
        (0o700, "exec"),
        (0o700, "runtime-runc"),
        (0o700, "moby"),
    ],
}
ROOTLESS_ENGINES = {
    "podman": [(0o755, "run/user"), (0o700, "1000"), (0o1700, "pyoci")],
    "podman without a session": [(0o1777, "tmp"), (0o700, "podman-run-1000"), (0o1700, "pyoci")],
    "buildah, umask 002": [(0o755, "run/user"), (0o775, "1000"), (0o775, "pyoci")],
}


def place(folder: Path, parts: list[tuple[int, str]], owner: int | None = None) -> Path:
    """Directories one below the other, the first the host's and the others a user's; returns the last."""
    for number, (mode, name) in enumerate(parts):
        folder /= name
        folder.mkdir(parents=True)
        folder.chmod(mode)
        if number and owner is not None:
            os.chown(folder, owner, owner)
    return folder


def every_verb(made: Container) -> None:
    """Each verb that needs no cgroup succeeds and warns of nothing."""
    runtime = made.runtime
    made.create()
    said = [made.start().err]
    reads = [["state", made.id], ["list"], ["ps", "--format", "json", made.id]]
    for call in (*reads, ["exec", made.id, "/bin/true"], ["kill", made.id, "KILL"]):
        said.append(runtime.call(*call).ok().err)
    made.wait()
    said.append(made.delete().err)
    assert "can be forged" not in "".join(said)
    made.create()
    assert "can be forged" not in made.delete("--force").err
