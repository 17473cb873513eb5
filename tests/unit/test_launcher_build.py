"""What the build of a launcher takes and tells: cffi's source, the versions of what is embedded, the reason for the kind exec."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import build_launcher
import build_shim
import cffi_source
import parts
import pytest

TREE = Path(__file__).resolve().parents[2]


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source package that cffi.txt names, in a directory of its own; nothing else is known."""
    place = tmp_path / "wheel house"
    place.mkdir()
    package = place / "cffi-9.8.tar.gz"
    with tarfile.open(package, "w:gz") as made:
        for name in ("src/c/_cffi_backend.c", "src/cffi/_cffi_errors.h", "src/c/test_c.py", "setup.py"):
            member = tarfile.TarInfo(f"cffi-9.8/{name}")
            member.size = len(name)
            made.addfile(member, io.BytesIO(name.encode()))
    requirement = tmp_path / "cffi.txt"
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    requirement.write_text(f"# comment\ncffi==9.8 --hash=sha256:{digest}\n")
    monkeypatch.setattr(cffi_source, "REQUIREMENT", requirement)
    monkeypatch.setattr(cffi_source, "DOWNLOADED", tmp_path / "sources")
    for name in ("PYOCI_CFFI_SOURCE", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    return package


def unpacked(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_the_source_package_is_named_by_its_file(
    pinned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYOCI_CFFI_SOURCE", str(pinned))
    assert cffi_source.folder(tmp_path) == ("9.8", tmp_path / "cffi-9.8")
    assert unpacked(tmp_path / "cffi-9.8") == ["src/c/_cffi_backend.c", "src/cffi/_cffi_errors.h"]
    monkeypatch.delenv("PYOCI_CFFI_SOURCE")
    assert cffi_source.folder(tmp_path)[0] == "9.8"  # it is unpacked
    monkeypatch.setenv("PYOCI_CFFI_SOURCE", "/nonexistent")
    with pytest.raises(build_shim.BuildError, match="/nonexistent: No such file"):
        cffi_source.folder(tmp_path)


def test_the_source_package_is_found_where_pip_looks(
    pinned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "house"
    pinned.parent.rename(other)
    monkeypatch.setenv("PIP_FIND_LINKS", f"/nonexistent https://example.org/links file://{other}")
    assert cffi_source.folder(tmp_path / "new")[1] == tmp_path / "new/cffi-9.8"


def test_the_source_package_is_found_where_set_up_puts_it(pinned: Path, tmp_path: Path) -> None:
    pinned.parent.rename(tmp_path / "sources")
    assert cffi_source.folder(tmp_path)[0] == "9.8"


def test_a_directory_may_have_another_version(
    pinned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    (own / "src/c").mkdir(parents=True)
    monkeypatch.setenv("PYOCI_CFFI_SOURCE", str(own))
    with pytest.raises(build_shim.BuildError, match=r"has no src/c/_cffi_backend\.c"):
        cffi_source.folder(tmp_path)
    (own / "src/c/_cffi_backend.c").touch()
    (own / "PKG-INFO").write_text("Name: cffi\nVersion: 10.0b1\n")
    assert cffi_source.folder(tmp_path) == ("10.0b1", own)


def test_another_package_under_its_name_is_refused(
    pinned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned.write_bytes(pinned.read_bytes() + b"\0")
    monkeypatch.setenv("PYOCI_CFFI_SOURCE", str(pinned))
    with pytest.raises(build_shim.BuildError, match=r"is not the source of cffi 9\.8: .* has another sha256"):
        cffi_source.folder(tmp_path)
    assert not (tmp_path / "cffi-9.8").exists()


def test_a_missing_source_is_named_with_the_ways_to_give_it(pinned: Path, tmp_path: Path) -> None:
    with pytest.raises(build_shim.BuildError) as caught:
        cffi_source.folder(tmp_path)
    for word in ("cffi-9.8.tar.gz", "PYOCI_CFFI_SOURCE", "PIP_FIND_LINKS", "pip download"):
        assert word in str(caught.value)


def test_the_tree_names_one_version_of_cffi_with_its_hash() -> None:
    version, digest = cffi_source.pinned()
    assert version[0].isdigit() and len(digest) == 64


def test_without_a_kind_the_build_falls_back_and_the_launcher_keeps_the_reason(
    pinned: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(build_shim.BuildError, match="source of cffi is missing"):
        build_launcher.build(tmp_path, "static", package=TREE / "pyoci")
    launcher = build_launcher.build(tmp_path, package=TREE / "pyoci")
    reason = "the source of cffi is missing: name cffi-9.8.tar.gz"
    assert f"pyoci: no static launcher: {reason}" in capfd.readouterr().err
    shown = subprocess.run([launcher, "--version", "--verbose"], capture_output=True, text=True, check=True)
    assert f"\nlauncher: exec\nno static launcher: {reason}" in shown.stdout
    report = subprocess.run(
        [launcher, "--root", tmp_path / "root", "doctor", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = {row["name"]: row for row in json.loads(report.stdout)["checks"] if row["area"] == "launcher"}
    assert rows["static launcher"]["result"] == "no"
    assert rows["static launcher"]["why"].startswith(reason)
    assert rows["static launcher"]["cost"] and rows["static launcher"]["hint"]


def commit_of(launcher: Path) -> str:
    shown = subprocess.run([launcher, "--version"], capture_output=True, text=True, check=True).stdout
    (found,) = [line for line in shown.splitlines() if line.startswith("commit: ")]
    return found.removeprefix("commit: ")


def test_a_launcher_names_the_commit_that_it_was_built_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYOCI_COMMIT", raising=False)
    git = ["git", "-c", f"safe.directory={TREE}", "-C", str(TREE), "rev-parse", "HEAD"]
    head = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    built = build_launcher.build(tmp_path / "git", "exec", package=TREE / "pyoci")
    assert commit_of(built).removesuffix("-dirty") == (head or "unknown")
    monkeypatch.setenv("PYOCI_COMMIT", "1.2-3")
    assert commit_of(build_launcher.build(tmp_path / "given", "exec", package=TREE / "pyoci")) == "1.2-3"


def test_a_tree_without_git_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYOCI_COMMIT", raising=False)
    monkeypatch.setattr(build_shim, "CSRC", tmp_path / "csrc")
    assert parts.commit() == ""


def test_the_static_launcher_names_everything_that_is_in_it(static: Path) -> None:
    shown = subprocess.run([static, "--version", "--verbose"], capture_output=True, text=True, check=True)
    rows = [line.split() for line in shown.stdout.splitlines() if line.startswith("embedded: ")]
    assert [row[1] for row in rows] == ["Python", "cffi", "libffi", "libseccomp", "musl"]
    assert all(row[2][0].isdigit() for row in rows), rows


def test_a_part_knows_the_debian_package_that_it_is_from() -> None:
    if not shutil.which("dpkg-query"):
        pytest.skip("this machine has no dpkg")
    name, version = parts.debian_source(Path("/usr/bin/dpkg-query"))
    assert name == "dpkg" and version[0].isdigit()
    assert parts.debian_source(Path(__file__)) == ("", "")


def test_a_compiler_that_fails_is_quoted(tmp_path: Path) -> None:
    source = tmp_path / "wrong.c"
    source.write_text("int main(void) { return undeclared; }\n")
    with pytest.raises(
        build_shim.BuildError, match=r"gcc fails: .*wrong\.c:1:.* error: .undeclared. undeclared"
    ):
        build_shim.make(tmp_path / "wrong", ["gcc", str(source)], [source])


@pytest.fixture
def sdist(tmp_path: Path) -> Path:
    """The source distribution, as it is published."""
    tree = tmp_path / "tree"
    ignored = shutil.ignore_patterns(
        "*.so",
        "__pycache__",
        ".git",
        ".venv*",
        "build",
        "rootfs",
        "tests",
        "bench",
        "*.egg-info",
        ".*_cache",
        ".hypothesis",
    )
    shutil.copytree(TREE, tree, ignore=lambda folder, names: ignored(folder, names) - {keep(folder)})
    command = [sys.executable, "-W", "ignore", "setup.py", "--quiet", "sdist", "--dist-dir", str(tmp_path)]
    subprocess.run(command, cwd=tree, check=True, capture_output=True, text=True, timeout=60)
    (made,) = tmp_path.glob("pyoci-*.tar.gz")
    return made


def keep(folder: str) -> str:
    """csrc/build is no product of a build."""
    return "build" if Path(folder).name == "csrc" else ""


def test_a_wheel_with_the_static_launcher_is_built_without_a_network(
    tmp_path: Path, static: Path, sdist: Path
) -> None:
    """From a wheel house, in a network namespace that has nothing; `static` says whether it can be built at all."""
    probe = subprocess.run(["unshare", "-n", "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"no network namespace can be made: {probe.stderr.strip()}")
    try:
        package = cffi_source.package()
    except build_shim.BuildError as reason:
        pytest.skip(str(reason))
    house = tmp_path / "house"
    house.mkdir()
    shutil.copy(package, house)
    command = ["unshare", "-n", sys.executable, "-m", "pip", "wheel", "--no-index", "--no-deps"]
    command += ["--no-build-isolation", "--wheel-dir", str(tmp_path), str(sdist)]
    environment = {name: value for name, value in os.environ.items() if name != "PYOCI_CFFI_SOURCE"}
    environment |= {"PIP_FIND_LINKS": str(house), "PYOCI_LAUNCHER": "static"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("pyoci-*.whl")
    with zipfile.ZipFile(wheel) as content:
        (launcher,) = (name for name in content.namelist() if name.endswith("/scripts/pyoci"))
        assert b'{"kind":"static"' in content.read(launcher)
