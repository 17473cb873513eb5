"""The engines' fixtures: one engine for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.engines import Buildah, Containerd, Docker, Podman, need, need_asked, opened


@pytest.fixture(scope="module")
def podman(apart: None) -> Iterator[Podman]:
    """A podman of the module's own."""
    need_asked("podman")
    need("podman")
    yield from opened(Podman)


@pytest.fixture(scope="module")
def docker(apart: None) -> Iterator[Docker]:
    """A dockerd of the module's own."""
    need_asked("docker")
    need("dockerd", "/usr/bin/docker")
    yield from opened(Docker)


@pytest.fixture(scope="module")
def containerd(apart: None) -> Iterator[Containerd]:
    """A containerd of the module's own."""
    need_asked("containerd")
    need("containerd", "ctr")
    yield from opened(Containerd)


@pytest.fixture(scope="module")
def buildah(apart: None) -> Iterator[Buildah]:
    """A buildah of the module's own, with an image that podman made."""
    need_asked("buildah")
    need("buildah", "podman")
    yield from opened(Buildah)
