"""`pyoci spec`: what it writes, where, and that it overwrites nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyoci.base.context import Context
from pyoci.cli import entry
from pyoci.spec import fast, template


def test_it_is_written_into_the_bundle(tmp_path: Path) -> None:
    assert entry.main(Context(), ["spec", "-b", str(tmp_path)]) == 0
    text = (tmp_path / "config.json").read_text()
    assert json.loads(text) == template.document(rootless=False)
    assert text.startswith('{\n\t"ociVersion": "1.0')


def test_nothing_is_overwritten(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text("mine")
    assert entry.main(Context(), ["spec", "-b", str(tmp_path)]) == 1
    assert (tmp_path / "config.json").read_text() == "mine"
    assert (
        capfd.readouterr().err
        == "pyoci: spec: config.json exists\n  hint: remove the file first, or write to another directory\n"
    )


def test_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert entry.main(Context(), ["spec", "--rootless", "-f", "other.json"]) == 0
    assert json.loads((tmp_path / "other.json").read_text()) == template.document(rootless=True)


def test_a_directory_that_is_not_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert entry.main(Context(), ["spec", "-b", str(tmp_path / "no")]) == 1
    assert "no such file or directory" in capfd.readouterr().err


@pytest.mark.parametrize("rootless", [False, True])
def test_it_keeps_the_schema(rootless: bool) -> None:
    assert fast.accepts(template.document(rootless=rootless))


def test_rootless_maps_one_id_and_keeps_the_network() -> None:
    made = template.document(rootless=True, uid=1000, gid=100)
    linux = made["linux"]
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": 1000, "size": 1}]
    assert linux["gidMappings"] == [{"containerID": 0, "hostID": 100, "size": 1}]
    kinds = [each["type"] for each in linux["namespaces"]]
    assert "user" in kinds and "network" not in kinds
    assert "resources" not in linux
    options = [option for mount in made["mounts"] for option in mount.get("options", [])]
    assert not [option for option in options if option.startswith(("uid=", "gid="))]
    (system,) = [mount for mount in made["mounts"] if mount["destination"] == "/sys"]
    assert (system["source"], system["options"][0], system["options"][-1]) == ("/sys", "rbind", "ro")
