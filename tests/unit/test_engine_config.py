"""`pyoci engine-config`: the texts, the files they are merged into, and docs/engines.md, which shows them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from unit.documents import TOP, Document, table

from pyoci.base import boot
from pyoci.base.errors import OciError
from pyoci.engine_config import main, merge, own_path, shown
from pyoci.engine_config.engines import ENGINES, Containerd, is_ours

PAGE = TOP / "docs/engines.md"
PATH = "/usr/bin/pyoci"

DAEMON = '{"log-driver": "journald", "runtimes": {"kata": {"path": "/usr/bin/kata"}}}'
# As Debian's package has it.
SMALL = """\
version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
  [plugins."io.containerd.internal.v1.opt"]
    path = "/var/lib/containerd"
"""
# A part of what `containerd config default` prints.
LARGE = """\
version = 2
# kept

[plugins]

  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    snapshotter = "overlayfs"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes]

      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
        runtime_type = "io.containerd.runc.v2"
"""


def containerd(version: int = 2) -> str:
    return Containerd().text_of(version, PATH)


@pytest.mark.parametrize("name", ENGINES)
def test_every_text_is_what_its_file_takes(name: str) -> None:
    engine = ENGINES[name]
    text = engine.text(PATH)
    if engine.form == "json":
        assert json.loads(text)["runtimes"]["pyoci"]["path"] == PATH
    elif engine.form == "manifest":
        assert "handler: pyoci\n" in text
    else:
        assert PATH in str(tomllib.loads(text))


def test_docker_keeps_what_was_there() -> None:
    found = json.loads(merge.merged("json", DAEMON, ENGINES["docker"].text(PATH), "daemon.json"))
    assert found == {
        "log-driver": "journald",
        "default-runtime": "pyoci",
        "runtimes": {"kata": {"path": "/usr/bin/kata"}, "pyoci": {"path": PATH}},
    }


@pytest.mark.parametrize("there", [SMALL, LARGE])
def test_containerd_keeps_what_was_there(there: str) -> None:
    text = merge.merged("toml", there, containerd(), "config.toml")
    found = tomllib.loads(text)["plugins"]
    cri = found["io.containerd.grpc.v1.cri"]["containerd"]
    assert cri["default_runtime_name"] == "pyoci"
    assert cri["runtimes"]["pyoci"]["options"]["BinaryName"] == PATH
    kept = [line for line in there.split("\n") if "default_runtime_name" not in line]
    assert [line for line in text.split("\n") if line in kept][: len(kept)] != []
    assert all(line in text.split("\n") for line in kept)
    assert merge.merged("toml", text, containerd(), "config.toml") == text, "a second time changes nothing"


def test_containerd_keeps_the_version_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    monkeypatch.setattr(Containerd, "file", str(file))
    monkeypatch.setattr(Containerd, "newest", staticmethod(lambda: 3))
    versions = {}
    for there in ("", "version = 2\n", "version = 3\n", "version = 1\n", "version = "):
        file.write_text(there)
        versions[there] = Containerd().text(PATH).splitlines()[0]
    assert set(versions.values()) == {"version = 2", "version = 3"}
    assert [there for there, line in versions.items() if line == "version = 2"] == ["version = 2\n"]
    file.unlink()
    assert Containerd().text(PATH) == Containerd().text_of(3, PATH)


@pytest.mark.parametrize(
    ("form", "there", "why"),
    [
        ("json", "[]", "not a JSON object"),
        ("json", "{", "not JSON"),
        ("toml", "a = ", "not TOML"),
        ("toml", "a = 1\n", "version = 2"),
        ("toml", 'version = 2\nplugins = {"io.containerd.grpc.v1.cri" = {}}\n', "another way"),
    ],
)
def test_what_can_not_be_merged_is_refused(form: str, there: str, why: str) -> None:
    wanted = ENGINES["docker"].text(PATH) if form == "json" else containerd()
    with pytest.raises(OciError, match=why) as refused:
        merge.merged(form, there, wanted, "FILE")
    assert refused.value.code == "engine-config" and "by hand" in refused.value.hint


def test_a_backup_is_kept_and_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "new" / "file"
    assert merge.write(str(file), "1") == ""
    file.chmod(0o640)
    copies = [merge.write(str(file), text) for text in ("2", "3")]
    assert [Path(copy).read_text() for copy in copies] == ["1", "2"]
    assert file.read_text() == "3" and file.stat().st_mode & 0o777 == 0o640
    assert len(list(file.parent.iterdir())) == 3, "a temporary file is left"


def test_a_link_stays_and_what_it_leads_to_keeps_owner_and_mode(tmp_path: Path) -> None:
    real, link = tmp_path / "kept/file", tmp_path / "etc/file"
    for path in (real, link):
        path.parent.mkdir()
    real.write_text("1")
    real.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(real, 7, 8)
    before = real.stat()
    link.symlink_to("../kept/file")
    assert merge.write(str(link), "2") == f"{link}.before-pyoci"
    after = real.stat()
    assert link.is_symlink() and real.read_text() == "2"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert [path.name for path in real.parent.iterdir()] == ["file"], "a temporary file is left"


def test_a_file_that_can_not_be_changed_leaves_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()  # a rename does not replace it
    with pytest.raises(OSError, match="directory"):
        merge._replace(tmp_path / "file", "1")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_backup_of_a_drop_in_is_not_read_as_another(tmp_path: Path) -> None:
    """CRI-O reads each file of crio.conf.d, whatever its name, and the last one of them counts."""
    file = tmp_path / "crio.conf.d/50-pyoci.conf"
    merge.write(str(file), "1")
    assert merge.write(str(file), "2") == str(tmp_path / "50-pyoci.conf.before-pyoci")
    assert [path.name for path in file.parent.iterdir()] == ["50-pyoci.conf"]


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"\xff\xfe{}", "not UTF-8"), (b"\xef\xbb\xbf{}", "not JSON"), (None, "can't be read")],
)
def test_a_strange_file_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, why: str
) -> None:
    file = tmp_path / "daemon.json"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    monkeypatch.setattr(ENGINES["docker"], "file", str(file))
    monkeypatch.setattr("pyoci.engine_config.own_path", lambda: PATH)
    with pytest.raises(OciError, match=why):
        main("docker", write=True, check=False)
    assert [path.name for path in tmp_path.iterdir()] == ["daemon.json"]
    assert content is None or file.read_bytes() == content


def test_write_and_check_may_be_asked_for_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "daemon.json"
    monkeypatch.setattr(ENGINES["docker"], "file", str(file))
    monkeypatch.setattr(ENGINES["docker"], "answer", lambda: PATH if file.exists() else None)
    monkeypatch.setattr("pyoci.engine_config.own_path", lambda: PATH)
    assert main("docker", write=False, check=True) == 1
    assert main("docker", write=True, check=True) == 0 and PATH in file.read_text()


def test_what_is_not_ascii_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "new/daemon.json"
    monkeypatch.setattr(ENGINES["docker"], "file", str(file))
    monkeypatch.setattr("pyoci.engine_config.own_path", lambda: PATH)
    assert main("docker", write=True, check=False) == 0 and PATH in file.read_text()
    file.write_text('{"labels": ["owner=J\u00fcrgen"]}', encoding="utf-8")
    assert main("docker", write=True, check=False) == 0
    assert "owner=J\u00fcrgen" in file.read_text(encoding="utf-8") and PATH in file.read_text()


def test_an_answer_is_a_path_or_the_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/bin/true")
    assert is_ours("pyoci", "/usr/bin/pyoci")
    assert is_ours(str(tmp_path / "link"), "/bin/true")
    assert not is_ours("/usr/bin/runc", "/usr/bin/pyoci")


def sections() -> dict[str, str]:
    """Title -> text of each section of the page."""
    parts = PAGE.read_text().split("\n## ")[1:]
    return {part.partition("\n")[0]: part for part in parts}


def test_the_page_shows_every_text_and_says_what_was_tried() -> None:
    found = sections()
    assert list(found)[: len(ENGINES)] == [engine.title for engine in ENGINES.values()]
    for engine in ENGINES.values():
        text = found[engine.title]
        if isinstance(engine, Containerd):
            assert all(f"\n{engine.text_of(version, PATH)}```\n" in text for version in (2, 3))
        else:
            assert f"\n{shown(engine, PATH)}```\n" in text
        said = f"Tried with {engine.tried}." if engine.tried else "Written from its manual, not tried."
        assert said in text and engine.after in text


# -- the path in it


def program(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return str(path)


def test_the_launcher_of_a_prefix_comes_before_the_one_beside_the_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive, unpacked on a machine that has a package as well."""
    installed, unpacked = program(tmp_path / "usr/bin/pyoci"), program(tmp_path / "opt/x/bin/pyoci")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "usr/bin/python3.11"))
    for package, expected in (
        ("usr/lib/pyoci/pyoci", installed),
        ("opt/x/lib/pyoci/pyoci", unpacked),
        ("opt/x/tree/clone/pyoci", installed),
    ):
        monkeypatch.setattr(boot, "package_directory", lambda package=package: str(tmp_path / package))
        assert own_path() == expected
    Path(installed).unlink()
    monkeypatch.setenv("PATH", str(Path(unpacked).parent))
    assert own_path() == unpacked
    monkeypatch.setenv("PATH", "")
    with pytest.raises(OciError, match=r"neither beside .* nor on PATH"):
        own_path()


def test_the_figures_of_the_readme_are_of_as_many_tests_as_there_are() -> None:
    rows = {row[0].split()[0]: row[1:] for row in table(Document(TOP / "README.md"), "engine")}
    files = {name: f"test_{name}.py" for name in ("podman", "docker", "containerd", "buildah")}
    for engine, file in {**files, "crictl": "test_cri.py"}.items():
        command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", f"tests/engines/{file}"]
        listed = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True).stdout
        number = listed.strip().rpartition(": ")[2]
        for cell in (rows[engine][1], rows[engine][3]):
            assert re.findall(r"of (\d+)", cell) == [number, number], engine
