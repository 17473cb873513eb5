"""spec: what it writes, and that runtimes run it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from harness import machine
from harness.bundle import RootFilesystem
from harness.runtime import Runtime


def written(runtime: Runtime, folder: Path, *options: str) -> dict[str, Any]:
    """The config.json that `spec` writes into an empty bundle."""
    bundle = folder / "bundle"
    bundle.mkdir()
    runtime.call("spec", *options, cwd=bundle).ok()
    found: dict[str, Any] = json.loads((bundle / "config.json").read_text())
    return found


def test_it_writes_a_config(runtime: Runtime, folder: Path) -> None:
    config = written(runtime, folder)
    assert config["ociVersion"].startswith("1.")
    assert config["root"]["path"] == "rootfs"
    assert config["process"]["args"] == ["sh"]
    kinds = {entry["type"] for entry in config["linux"]["namespaces"]}
    assert {"pid", "network", "ipc", "uts", "mount"} <= kinds


def test_the_bundle_option(runtime: Runtime, folder: Path) -> None:
    (folder / "bundle").mkdir()
    found = runtime.call("spec", "--bundle", str(folder / "bundle")).ok()
    assert found.out == ""
    assert (folder / "bundle/config.json").exists()


def test_it_does_not_overwrite(runtime: Runtime, folder: Path) -> None:
    (folder / "config.json").write_text("mine")
    found = runtime.call("spec", cwd=folder).failed("config.json")
    assert found.rc == 1
    assert (folder / "config.json").read_text() == "mine"


def test_rootless(runtime: Runtime, folder: Path) -> None:
    config = written(runtime, folder, "--rootless")
    kinds = {entry["type"] for entry in config["linux"]["namespaces"]}
    assert "user" in kinds and "network" not in kinds
    assert [entry["size"] for entry in config["linux"]["uidMappings"]] == [1]
    assert not config["linux"].get("resources")
    (sys,) = [mount for mount in config["mounts"] if mount["destination"] == "/sys"]
    assert "rbind" in sys["options"] and "ro" in sys["options"]


def test_it_satisfies_the_schema(runtime: Runtime, folder: Path) -> None:
    schemas = machine.repository() / "schemas"
    if not (schemas / "config-schema.json").exists():
        pytest.skip("no schemas in the tree")
    jsonschema = pytest.importorskip("jsonschema")
    referencing = pytest.importorskip("referencing")
    from referencing.jsonschema import DRAFT4

    documents = {path.name: json.loads(path.read_text()) for path in schemas.glob("*.json")}
    resources = [(name, DRAFT4.create_resource(content)) for name, content in documents.items()]
    registry = referencing.Registry().with_resources(resources)
    checker = jsonschema.Draft4Validator(documents["config-schema.json"], registry=registry)
    assert [error.message for error in checker.iter_errors(written(runtime, folder))] == []


def apart(path: Path, program: str) -> str:
    """A command that runs a program in a mount namespace of its own."""
    path.write_text(f'#!/bin/sh\nexec unshare -m {program} "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("options", [(), ("--rootless",)])
@pytest.mark.parametrize("peer", ["itself", "runc", "crun"])
def test_runtimes_run_it(
    runtime: Runtime,
    folder: Path,
    filesystem: RootFilesystem,
    peer: str,
    options: tuple[str, ...],
    scratch: Path,
) -> None:
    config = written(runtime, folder, *options)
    filesystem.make(folder / "bundle/rootfs")
    config["process"].update(terminal=False, args=["echo", "hi"])
    (folder / "bundle/config.json").write_text(json.dumps(config))
    program = str(runtime.path) if peer == "itself" else shutil.which(peer)
    if program is None:
        pytest.skip(f"{peer} is not installed")
    if peer == "crun" and machine.cgroup_version() == 1:
        pytest.skip("crun 1.8 can't use this machine's cgroups (version 1 and 2 side by side)")
    if peer == "crun":  # 1.8 lets mounts below an rbind of /sys out to where it was called
        program = apart(folder / "crun", program)
    other = Runtime(Path(program), folder / "other", folder / "calls")
    id = f"{scratch.name}-{folder.name}"
    assert other.call("run", "-b", str(folder / "bundle"), id).ok().out == "hi\n"
