"""Where cgroups are found and placed, with a made-up /sys/fs/cgroup."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyoci import cgroups
from pyoci.base import files
from pyoci.base.errors import OciError
from pyoci.cgroups import paths
from pyoci.cgroups.v1 import V1
from pyoci.cgroups.v2 import V2

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import Spec


def test_names_that_hold_what_looks_like_the_end_of_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "3:cpu,cpuacct:/a\fb/c:d\n0::/\u2028\x1c\n"
    monkeypatch.setattr(files, "read", lambda path: text.encode())
    assert paths.of_process() == {"cpu": "/a\fb/c:d", "cpuacct": "/a\fb/c:d", "": "/\u2028\x1c"}
    text = ""
    assert paths.of_process() == {}


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    places: dict[str, str] = {}
    monkeypatch.setattr(paths, "of_process", lambda pid="self": places)
    return places


@pytest.fixture
def v1_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: dict[str, str]) -> Path:
    """cpu and cpuacct mounted together, memory, systemd, a v2 tree beside, a directory that is no mount."""
    for name in ("cpu,cpuacct", "memory", "systemd", "unified", "rdma", "elsewhere"):
        (tmp_path / name).mkdir()
    for link in ("cpu", "cpuacct"):
        (tmp_path / link).symlink_to("cpu,cpuacct")
    (tmp_path / "unified" / "cgroup.procs").touch()
    monkeypatch.setattr(paths, "MOUNT", str(tmp_path))
    monkeypatch.setattr(paths, "_device", lambda path: None if path.endswith("rdma") else 1)
    return tmp_path


@pytest.fixture
def v2_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: dict[str, str]) -> Path:
    (tmp_path / "cgroup.controllers").touch()
    monkeypatch.setattr(paths, "MOUNT", str(tmp_path))
    return tmp_path


def spec(path: str | None, **more: Any) -> Any:
    return {"linux": {} if path is None else {"cgroupsPath": path}, **more}


def test_v1_trees(v1_tree: Path) -> None:
    found = {tree.directory: tree.options for tree in paths.hierarchies()}
    assert found == {"memory": "memory", "cpu,cpuacct": "cpu,cpuacct", "systemd": "name=systemd"}
    assert paths.hierarchies()[-1].directory == "systemd"
    assert paths.hybrid_mount() == f"{v1_tree}/unified"
    assert not paths.is_v2()


def test_v1_absolute(v1_tree: Path) -> None:
    manager = cgroups.manager(spec("/docker/../docker/x"), "id")
    assert manager.record() == {
        "manager": "v1",
        "rootless": False,
        "kept": [],
        "paths": {
            "memory": f"{v1_tree}/memory/docker/x",
            "cpu": f"{v1_tree}/cpu,cpuacct/docker/x",
            "cpuacct": f"{v1_tree}/cpu,cpuacct/docker/x",
            "name=systemd": f"{v1_tree}/systemd/docker/x",
            "unified": f"{v1_tree}/unified/docker/x",
        },
    }
    assert len(manager.paths()) == 4
    facts = manager.mount_facts()
    assert facts["links"] == [["cpu", "cpu,cpuacct"], ["cpuacct", "cpu,cpuacct"]]
    assert facts["controllers"][0] == {
        "name": "memory",
        "dir": "memory",
        "host": f"{v1_tree}/memory/docker/x",
        "root": f"{v1_tree}/memory",
        "options": "memory",
    }


def test_v1_default_is_below_the_own_cgroup_of_each_tree(v1_tree: Path, own: dict[str, str]) -> None:
    own.update({"memory": "/mine", "cpu": "/", "cpuacct": "/", "name=systemd": "/", "": "/"})
    (v1_tree / "memory" / "mine").mkdir()
    for path, below in ((None, "id"), ("../x/y", "x/y")):
        record = cgroups.manager(spec(path), "id").record()
        assert record["manager"] == "v1"
        assert record["paths"]["memory"] == f"{v1_tree}/memory/mine/{below}"
        assert record["paths"]["cpu"] == f"{v1_tree}/cpu,cpuacct/{below}"


def test_v2_default_is_beside_the_own_cgroup(v2_tree: Path, own: dict[str, str]) -> None:
    own[""] = "/user.slice/session-1.scope"
    (v2_tree / "user.slice").mkdir()
    assert cgroups.manager(spec(None), "id").main_path() == f"{v2_tree}/user.slice/id"
    assert cgroups.manager(spec("a/b"), "id").main_path() == f"{v2_tree}/user.slice/a/b"
    assert cgroups.manager(spec("/a/b"), "id").main_path() == f"{v2_tree}/a/b"
    own[""] = "/"
    assert cgroups.manager(spec(None), "id").main_path() == f"{v2_tree}/id"


def test_part_of_the_tree_mounted(v2_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container without a cgroup namespace the own path counts from the host's root."""
    line = f"30 20 0:26 /docker/abc {v2_tree} rw - cgroup2 cgroup2 rw\n".encode()
    monkeypatch.setattr(files, "read", lambda path: line)
    assert paths.own(str(v2_tree), "/docker/abc") == str(v2_tree)
    assert paths.own(str(v2_tree), "/docker/abc/init") == f"{v2_tree}/init"
    assert paths.own(str(v2_tree), "/docker/abcdef") == str(v2_tree)


def test_a_machine_without_cgroups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: dict[str, str]
) -> None:
    monkeypatch.setattr(paths, "MOUNT", str(tmp_path / "missing"))
    with pytest.raises(OciError) as caught:
        cgroups.manager(spec("/x"), "id")
    assert caught.value.code == "cgroup-missing"


def test_records_come_back() -> None:
    for manager in (V1({"memory": "/m/x"}), V2("/c/x", rootless=True)):
        again = cgroups.from_record(manager.record())
        assert type(again) is type(manager) and again.record() == manager.record()


def user_namespace(**changes: Any) -> Any:
    linux = {
        "namespaces": [{"type": "user"}, {"type": "cgroup"}],
        "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}],
    }
    mounts = [{"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["rw"]}]
    return {"linux": linux | changes.pop("linux", {}), "mounts": mounts} | changes


def test_owner_of_a_delegated_cgroup() -> None:
    def owner(spec: Spec) -> int:
        return cgroups._request(spec, "id", "", False, None).owner

    assert owner(user_namespace()) == 100000
    assert owner(user_namespace(mounts=[{"destination": "/sys/fs/cgroup", "options": ["ro"]}])) == -1
    assert owner(user_namespace(mounts=[])) == -1
    assert owner(user_namespace(linux={"namespaces": [{"type": "user"}]})) == -1
    joined = [{"type": "user"}, {"type": "cgroup", "path": "/proc/1/ns/cgroup"}]
    assert owner(user_namespace(linux={"namespaces": joined})) == -1
    alone = {"namespaces": [{"type": "cgroup"}]}
    assert owner(user_namespace(linux=alone)) == -1


@pytest.mark.parametrize("sub", [{"cpu": "x"}, {"": "x", "cpu": "y"}])
def test_v2_has_one_tree_for_exec(sub: dict[str, str], v2_tree: Path) -> None:
    with pytest.raises(OciError) as caught:
        V2(str(v2_tree)).exec_fds(sub, 1)
    assert caught.value.code == "cgroup-sub"
