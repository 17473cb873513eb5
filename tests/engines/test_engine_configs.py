"""The config.json files that real engines wrote: each runs, or fails by naming what this machine lacks.

The files are recordings (podman 4.3 and 5.8, docker 20.10 and 28.5, containerd 1.6 and 2.1, buildah 1.28, BuildKit).
Only what names the recording machine is adapted: the root, sources of binds, the cgroup's path, the path of hooks.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes
from harness.runtime import Result, Runtime
from harness.terminal import ConsoleSocket

RECORDINGS = Path(__file__).resolve().parents[1] / "data/engine-configs"

# name: status, and what the output must match
EXPECTED = {
    "buildah-run": (0, r"^hi$"),
    "buildkit-run": (0, r"^built$"),
    "containerd-privileged": (0, r"^CapEff:\t[0-9a-f]{16}$"),
    "containerd-run": (0, r"^hi$"),
    "containerd-seccomp": (0, r"^Seccomp:\t2$"),
    "containerd-terminal": (4, r"^/dev/(pts/\d|console)$"),
    "containerd21-run": (0, r"^hi$"),
    "docker20-cgroupns": (0, r":/$"),
    "docker20-hostns": (0, r"^\d+$"),
    "docker20-run": (0, r"^hi$"),
    "docker20-terminal": (6, r"^40 123$"),
    "docker28-run": (0, r"^hi$"),
    "podman4-limits": (0, r"^tmp ok\ntouch: /x: Read-only file system$"),
    "podman4-privileged": (0, r"^CapEff:\t[0-9a-f]{16}$"),
    "podman4-run": (0, r"^hi$"),
    "podman4-seccomp-off": (0, r"^Seccomp:\t0$"),
    "podman4-terminal": (6, r"^40 123$"),
    "podman4-userns": (0, r"^ +0 +100000 +65536$"),
    "podman5-run": (0, r"^hi$"),
}


def test_every_recording_is_expected() -> None:
    assert sorted(path.stem for path in RECORDINGS.glob("*.json")) == sorted(EXPECTED)
    assert len(EXPECTED) == 19


def source(folder: Path, mount: dict[str, Any]) -> Path:
    """Something to bind in place of what the engine had there."""
    path: Path = folder / mount["destination"].strip("/").replace("/", "-")
    if mount["destination"] == "/dev/shm":
        path.mkdir(exist_ok=True)
    else:
        path.write_text(f"for {mount['destination']}\n")
    return path


def adapt(made: Container, name: str, folder: Path) -> None:
    """Load a recording as the container's configuration and let it name this machine's places."""
    config = json.loads((RECORDINGS / f"{name}.json").read_text())
    made.config = config
    config["root"]["path"] = "rootfs" if config["root"]["path"] == "rootfs" else str(made.rootfs)
    for mount in config["mounts"]:
        if {"bind", "rbind"} & set(mount.get("options", [])):
            mount["source"] = str(source(folder, mount))
    if "cgroupsPath" in config["linux"]:
        config["linux"]["cgroupsPath"] = made.cgroup
    for hook in config.get("hooks", {}).get("prestart", []):
        hook["path"] = str(folder / "setkey")
        hook["args"][-2:] = [made.id, "controller"]
    if config["process"].get("terminal"):
        config["process"]["consoleSize"] = {"height": 40, "width": 123}
    if config["linux"].get("uidMappings"):
        made.user_namespace_root(config["linux"]["uidMappings"][0]["hostID"])
    setkey = folder / "setkey"
    setkey.write_text(f'#!/bin/sh\necho "$1 $2 $3" > {folder}/hook-args\ncat > {folder}/hook-state\n')
    setkey.chmod(0o755)


def through_console(made: Container, folder: Path) -> Result:
    """create, start and wait, as engines do for a terminal."""
    console = ConsoleSocket(folder / "console.sock")
    found = made.create("--console-socket", str(console.path), check=False)
    if found.rc == 0:
        master = console.receive()
        made.start()
        text = master.rest()
        found = Result(found.argv, made.wait(), text, "")
        master.close()
        made.delete()
    console.close()
    return found


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_recording_runs(box: Boxes, folder: Path, name: str) -> None:
    made = box()
    adapt(made, name, folder)
    terminal = made.process.get("terminal", False)
    found = through_console(made, folder) if terminal else made.run(check=False)
    status, pattern = EXPECTED[name]
    lacking = re.search(r"RLIMIT_\w+", found.err)
    if found.rc != status and lacking and not machine.has_capability("CAP_SYS_RESOURCE"):
        # the limit that the engine's machine had is above ours: the message names it
        wanted = {entry["type"]: entry["hard"] for entry in made.process["rlimits"]}
        assert wanted[lacking.group()] > 0
        pytest.skip(f"this machine's root may not raise {lacking.group()} to {wanted[lacking.group()]}")
    assert found.rc == status, found
    assert re.search(pattern, found.out + found.err, re.MULTILINE), found
    if made.config.get("hooks", {}).get("prestart"):
        state = json.loads((folder / "hook-state").read_text())
        assert (state["id"], state["status"]) == (made.id, "creating")
        assert state["pid"] > 0
        assert (folder / "hook-args").read_text().split()[0] == "-exec-root=/var/lib/docker/exec"


def test_a_privileged_container_has_what_we_have(box: Boxes, folder: Path) -> None:
    made = box()
    adapt(made, "containerd-privileged", folder)
    inside = re.search(r"CapEff:\t(\w+)", made.out())
    ours = re.search(r"CapEff:\t(\w+)", Path("/proc/self/status").read_text())
    assert ours and inside
    granted, held = int(inside[1], 16), int(ours[1], 16)
    assert granted & ~held == 0
    assert granted.bit_count() == len(made.process["capabilities"]["effective"])


def test_a_privileged_container_of_a_better_equipped_machine(box: Boxes, folder: Path) -> None:
    """The engine asks for every capability there is: what root lacks here is left out, with a warning."""
    if machine.has_capability("CAP_SYS_RESOURCE"):
        pytest.skip("root has every capability here")
    made = box()
    adapt(made, "podman4-privileged", folder)
    for names in made.process["capabilities"].values():
        names.append("CAP_SYS_RESOURCE")
    found = made.run()
    assert "CapEff" in found.out
    assert "CAP_SYS_RESOURCE" in found.err


def test_the_network_of_an_engine_is_joined_by_path(box: Boxes, folder: Path) -> None:
    """podman and docker make the network namespace first; a path that isn't there is named in the error."""
    made = box()
    adapt(made, "podman4-run", folder)
    missing = str(folder / "netns-that-is-not-there")
    for entry in made.linux["namespaces"]:
        if entry["type"] == "network":
            entry["path"] = missing
    made.run(check=False).failed(missing)


def test_an_overlay_root_as_engines_have_it(box: Boxes, folder: Path) -> None:
    if "overlay" not in Path("/proc/filesystems").read_text():
        pytest.skip("the kernel has no overlay filesystem")
    made = box()
    adapt(made, "docker20-run", folder)
    for name in ("upper", "work", "merged"):
        (folder / name).mkdir()
    options = f"lowerdir={made.rootfs},upperdir={folder}/upper,workdir={folder}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(folder / "merged")], check=True)
    try:
        made.config["root"]["path"] = str(folder / "merged")
        assert made.out() == "hi\n"
    finally:
        subprocess.run(["umount", str(folder / "merged")], check=True)


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_recording_is_valid(runtime: Runtime, name: str) -> None:
    found = runtime.call("validate", str(RECORDINGS / f"{name}.json"))
    assert found.rc == 0, found
