"""Where others may write to ROOT or to an entry, no command acts on what it finds there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from harness.box import Container
from harness.boxes import Boxes
from harness.roots import ENGINES, every_verb, place
from harness.runtime import Runtime

pytestmark = pytest.mark.only("pyoci")

ACTS = (
    ("kill", "ID", "KILL"),
    ("pause", "ID"),
    ("resume", "ID"),
    ("update", "--memory", "64M", "ID"),
    ("exec", "ID", "/bin/true"),
    ("start", "ID"),
    ("delete", "ID"),
    ("delete", "--force", "ID"),
)


def refused(made: Container, unsafe: Path) -> None:
    """Every verb that acts names the directory and the command; those that read warn, and answer."""
    for verb, *arguments in ACTS:
        words = [made.id if word == "ID" else word for word in arguments]
        made.runtime.call(verb, *words).failed(str(unsafe), "can be forged", f"`chmod o-w {unsafe}` mends it")
    for reads in (["state", made.id], ["list"], ["ps", "--format", "json", made.id]):
        found = made.runtime.call(*reads).ok()
        assert found.out.strip() and f"`chmod o-w {unsafe}` mends it" in found.err
    doctor = made.runtime.call("doctor")
    assert str(unsafe) in doctor.out + doctor.err
    assert made.state()["status"] == "running"


@pytest.mark.parametrize("where", ["entry", "root", "parent"])
def test_no_verb_acts(box: Boxes, runtime: Runtime, where: str) -> None:
    made = box("/bin/sleep", "1000").launch()
    root = runtime.root
    assert root
    unsafe = {"entry": root / made.id, "root": root, "parent": root.parent}[where]
    mode = unsafe.stat().st_mode & 0o7777
    unsafe.chmod(0o757)
    try:
        refused(made, unsafe)
        if where != "entry":
            other = box("/bin/true")
            other.create(check=False).failed("can be forged")
            assert not (root / other.id).exists()
    finally:
        unsafe.chmod(mode)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_roots_of_engines(box: Boxes, folder: Path, engine: str) -> None:
    runtime = box.runtime
    runtime.root = place(folder, ENGINES[engine])
    made = box("/bin/sleep", "1000")
    every_verb(made)
    made.launch()
    for call in (["pause", made.id], ["resume", made.id], ["update", "--pids-limit", "100", made.id]):
        assert "can be forged" not in runtime.call(*call).ok().err
    made.delete("--force")


def test_the_default_root_of_another_user(runtime: Runtime) -> None:
    """Root acts on it only when it is named."""
    script = """mount -t tmpfs -o mode=0755 none /run && mkdir -m 0700 /run/pyoci && chown 4321 /run/pyoci || exit 99
        "$0" delete x; "$0" --root /run/pyoci delete x; "$0" list"""
    found = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", script, str(runtime.path)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
        check=False,
    )
    first, hint, second, *rest = found.stderr.splitlines()
    assert (
        "/run/pyoci can be forged: it belongs to uid 4321" in first
        and "`chown 0 /run/pyoci` mends it" in hint
    )
    assert "container does not exist: x" in second
    assert found.returncode == 0 and "warning" in rest[-1] and "can be forged" in rest[-1]


def test_the_path_of_a_hook_is_not_judged(box: Boxes, folder: Path) -> None:
    """It may be anybody's, as with all runtimes: a poststop hook in a user's home."""
    home = folder / "home"
    home.mkdir()
    (home / "hook").write_text(f"#!/bin/sh\necho ran >> {folder}/told\n")
    (home / "hook").chmod(0o777)
    home.chmod(0o777)
    for path in (home, home / "hook"):
        os.chown(path, 4321, 4321)
    made = box("/bin/sleep", "1000")
    made.config["hooks"] = {name: [{"path": str(home / "hook")}] for name in ("poststart", "poststop")}
    made.launch()
    assert made.delete("--force").err == ""
    assert (folder / "told").read_text() == "ran\nran\n"
