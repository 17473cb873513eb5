"""Launchers, built once a session for all the tests about them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "csrc" / "build"))

import build_launcher  # noqa: E402
import build_shim  # noqa: E402

# In the environment of the build: it must not get into what is built.
SECRET = f"secret-{os.urandom(8).hex()}"


@pytest.fixture(scope="session")
def static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The static launcher for the tree; what it is made of is beside it."""
    os.environ["SECRET_OF_THE_BUILD"] = SECRET
    try:
        return build_launcher.build(tmp_path_factory.mktemp("static"), "static", package=TREE / "pyoci")
    except build_shim.BuildError as reason:
        pytest.skip(f"no static launcher: {reason}")
    finally:
        del os.environ["SECRET_OF_THE_BUILD"]


@pytest.fixture(scope="session")
def simple(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The launcher of the kind exec for the tree."""
    return build_launcher.build(tmp_path_factory.mktemp("exec"), "exec", package=TREE / "pyoci")
