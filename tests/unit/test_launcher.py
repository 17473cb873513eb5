"""The launchers: what they find, what they run, and what they say when something is gone.

Interpreters here are shell scripts that print how they were called, except where the static kind is built.
"""

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TREE / "csrc" / "build"))

import build_launcher  # noqa: E402
import build_shim  # noqa: E402
import image  # noqa: E402

Builder = Callable[..., Path]
NAME = f"python{sys.version_info.major}.{sys.version_info.minor}"


def call(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def package(directory: Path) -> Path:
    directory.mkdir(parents=True)
    (directory / "__main__.py").touch()
    return directory


@pytest.fixture
def compile_exec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    """Builds the simple launcher for an environment at tmp_path/built; returns the program."""

    def build(*, tree: Path | None = None) -> Path:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "built" / "bin" / NAME))
        where = {"scripts": tmp_path / "built/bin", "platlib": tmp_path / "built/lib/site-packages"}
        monkeypatch.setattr(sysconfig, "get_path", lambda name: str(where[name]))
        return build_launcher.build(tmp_path / "out", "exec", package=tree)

    return build


def environment(root: Path) -> Path:
    """An environment with an interpreter that prints its name and arguments; returns the place of the launcher."""
    script(root / "bin" / NAME, 'echo "$0"; printf "%s\\n" "$@"')
    package(root / "lib/site-packages/pyoci")
    return root / "bin/pyoci"


def test_arguments_reach_the_interpreter_as_they_are(tmp_path: Path, compile_exec: Builder) -> None:
    launcher = environment(tmp_path / "built")
    shutil.copy(compile_exec(), launcher)
    arguments = ["--root", "/x y", "", "*", "--", "-c"]
    found = call([str(launcher), *arguments])
    main = tmp_path / "built/lib/site-packages/pyoci/__main__.py"
    build = found.stdout.split("\n")[5]
    assert found.stdout.split("\n")[:-1] == [
        str(launcher.parent / NAME), "-I", "-X", "utf8", "-X", build, "-S", str(main), *arguments
    ]  # fmt: skip
    assert build.startswith('pyoci_build={"kind":"exec","reason":"PYOCI_LAUNCHER=exec was set')


def test_a_moved_environment_runs_from_its_new_place(tmp_path: Path, compile_exec: Builder) -> None:
    launcher = environment(tmp_path / "moved")
    shutil.copy(compile_exec(), launcher)
    found = call([str(launcher)])
    assert found.stdout.split("\n")[0] == str(tmp_path / "moved/bin" / NAME)
    assert str(tmp_path / "moved/lib/site-packages/pyoci/__main__.py") in found.stdout


def test_a_link_to_it_finds_the_environment(tmp_path: Path, compile_exec: Builder) -> None:
    launcher = environment(tmp_path / "moved")
    shutil.copy(compile_exec(), launcher)
    link = tmp_path / "elsewhere"
    link.symlink_to(launcher)
    assert call([str(link)]).stdout.split("\n")[0] == str(tmp_path / "moved/bin" / NAME)


def test_a_copy_of_it_uses_the_environment_it_was_built_for(tmp_path: Path, compile_exec: Builder) -> None:
    environment(tmp_path / "built")
    copy = tmp_path / "alone" / "runc"
    copy.parent.mkdir()
    shutil.copy(compile_exec(), copy)
    assert call([str(copy)]).stdout.split("\n")[0] == str(tmp_path / "built/bin" / NAME)


def test_a_development_build_runs_the_tree_wherever_it_is(tmp_path: Path, compile_exec: Builder) -> None:
    launcher = environment(tmp_path / "built")
    tree = package(tmp_path / "tree/pyoci")
    shutil.copy(compile_exec(tree=tree), launcher)
    assert str(tree / "__main__.py") in call([str(launcher)]).stdout


def test_a_distribution_has_the_package_in_lib(
    tmp_path: Path, compile_exec: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYOCI_PREFIX", str(tmp_path / "usr"))
    launcher = compile_exec()
    for root in ("usr", "opt/pyoci"):  # where it is for, and elsewhere
        script(tmp_path / "usr/bin" / NAME, 'echo "$0"; printf "%s\\n" "$@"')
        package(tmp_path / root / "lib/pyoci/pyoci")
        (tmp_path / root / "bin").mkdir(parents=True, exist_ok=True)
        shutil.copy(launcher, tmp_path / root / "bin/pyoci")
        found = call([str(tmp_path / root / "bin/pyoci")]).stdout.split("\n")
        assert found[0] == str(tmp_path / "usr/bin" / NAME)
        assert found[7] == str(tmp_path / root / "lib/pyoci/pyoci/__main__.py")


def test_a_missing_package_is_named(tmp_path: Path, compile_exec: Builder) -> None:
    found = call([str(compile_exec())])
    assert found.returncode == 1
    assert f"the package is not at {tmp_path}/built/lib/site-packages/pyoci" in found.stderr
    assert "install pyoci again" in found.stderr


def test_a_missing_interpreter_is_named(tmp_path: Path, compile_exec: Builder) -> None:
    launcher = environment(tmp_path / "built")
    (launcher.parent / NAME).unlink()
    shutil.copy(compile_exec(), launcher)
    found = call([str(launcher)])
    assert found.returncode == 1
    assert f"cannot start the interpreter {launcher.parent / NAME}: No such file" in found.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("/opt/containerd/lib:", "/opt/containerd/lib"),
        (":/a", "/a"),
        ("/a::/b", "/a:/b"),
        ("lib:/a;.:/b", "/a:/b"),
        ("", "unset"),
        (".", "unset"),
    ],
)
def test_libraries_are_not_taken_from_the_current_directory(
    tmp_path: Path, compile_exec: Builder, before: str, after: str
) -> None:
    launcher = environment(tmp_path / "built")
    script(launcher.parent / NAME, 'echo "${LD_LIBRARY_PATH-unset}"')
    shutil.copy(compile_exec(), launcher)
    assert call([str(launcher)], LD_LIBRARY_PATH=before).stdout == after + "\n"


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        build_shim.BuildError, match="PYOCI_LAUNCHER=fast: the kinds of launcher are static and exec"
    ):
        build_launcher.build(tmp_path, "fast")


def test_the_static_kind_says_what_it_is(static: Path) -> None:
    found = call([str(static), "--version", "--verbose"])
    assert "launcher: static\n" in found.stdout, found.stderr


def test_each_kind_says_what_it_is_after_the_other_was_built(tmp_path: Path, static: Path) -> None:
    """A build directory serves both, in turn."""
    for kind in ("exec", "static", "exec", "static"):
        launcher = build_launcher.build(static.parents[2], kind, package=TREE / "pyoci")
        assert f"\nlauncher: {kind}" in call([str(launcher), "--version", "--verbose"]).stdout


def test_the_static_kind_knows_signals(static: Path) -> None:
    """Importing _signal needs a step of Python's start that the core's has not."""
    found = call([str(static), "--root", "/nonexistent", "kill", "nobody", "RTMIN+1"])
    assert found.returncode == 1
    assert "does not exist" in found.stderr
    assert "bug" not in found.stderr


def test_the_static_kind_needs_no_environment_and_no_open_files(static: Path) -> None:
    closed = subprocess.run(
        ["/bin/sh", "-c", f"exec {static} --version <&- >&- 2>&-"], env={}, check=False, timeout=60
    )
    assert closed.returncode in (0, 1)
    assert call([str(static), "--version"]).returncode == 0


def test_the_static_kind_takes_arguments_that_are_not_text(static: Path) -> None:
    found = subprocess.run(
        [str(static), "state", b"\xff\xfe"], env={}, capture_output=True, check=False, timeout=60
    )
    assert found.returncode == 1
    assert b"bug" not in found.stderr


def test_the_static_kind_goes_over_to_the_interpreter_for_cold_commands(static: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is missing")
    found = call([strace, "-f", "-e", "trace=execve", str(static), "validate", "/nonexistent"])
    assert f'execve("{sys.executable}"' in found.stderr


@pytest.mark.parametrize(("command", "status"), [("state nobody", 1), ("features", 0), ("--version", 0)])
def test_the_static_kind_opens_no_libraries(static: Path, command: str, status: int) -> None:
    """And no interpreter takes its place."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is missing")
    found = call([strace, "-e", "trace=open,openat,execve", str(static), *command.split()])
    assert found.returncode == status
    assert found.stderr.count("execve(") == 1
    assert ".so" not in found.stderr


def test_the_static_kind_is_built_before_its_package_is_installed(
    static: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the first `pip install` into an environment."""
    real = sysconfig.get_path
    new = {"scripts": f"{tmp_path}/new/bin", "platlib": f"{tmp_path}/new/lib/site-packages"}
    monkeypatch.setattr(sysconfig, "get_path", lambda name: new.get(name) or real(name))
    launcher = build_launcher.build(tmp_path / "out", "static")
    found = call([str(launcher), "--version"])
    assert found.returncode == 1
    assert f"the package is not at {new['platlib']}/pyoci" in found.stderr
    environment(tmp_path / "new")
    found = call([str(shutil.copy(launcher, tmp_path / "new/bin/pyoci")), "--version"])
    assert found.stdout.startswith("pyoci version "), found.stderr


def test_the_image_is_that_of_its_program(static: Path, tmp_path: Path) -> None:
    cold = static.with_name("cold")
    (tmp_path / "data").write_bytes(b"\1" * 4096)
    with pytest.raises(build_shim.BuildError, match="is not the data of"):
        image.put(cold, tmp_path / "data", tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_program_that_is_laid_out_otherwise_gets_no_image(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    for program in ("/bin/sh", __file__):
        with pytest.raises(build_shim.BuildError):
            image.put(Path(program), tmp_path / "data", tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_every_build_has_hashes_of_its_own(static: Path, tmp_path: Path) -> None:
    """Names in a configuration must not be made to meet in one place of a dictionary (PYTHONHASHSEED)."""
    images = []
    for name in ("one", "two"):
        call([str(static.with_name("cold")), str(tmp_path / name), str(static.with_name("warm_up"))])
        images.append((tmp_path / name).read_bytes())
    assert len(images[0]) == len(images[1]) > 0
    assert images[0] != images[1]
