"""Fixtures of all suites: the runtime under test, containers, and the check that nothing is left behind."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import machine, peers
from harness.boxes import Boxes
from harness.bundle import RootFilesystem
from harness.leaks import LeakChecker
from harness.programs import Programs
from harness.runtime import Runtime, find


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    config.addinivalue_line("markers", "only(KIND): the test is about what this runtime alone promises")
    config.addinivalue_line("markers", "rootless: works as an ordinary user, too")


def runtime_kind() -> str:
    """The kind of the runtime under test, or "none"."""
    path = find()
    return Runtime(path, None, Path("/")).kind if path else "none"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what the runtime does not promise, and expect the failures that its list in data/peers has."""
    kind = runtime_kind()
    listed = peers.differences(kind)
    if not any("::" in argument for argument in config.args):
        unknown = peers.stale([name_of(item) for item in items], listed)
        if unknown:
            raise pytest.UsageError(f"data/peers/{kind}.txt: no such test: {', '.join(unknown)}")
    for item in items:
        if "runtime" not in getattr(item, "fixturenames", ()):
            continue
        if kind == "none":
            item.add_marker(pytest.mark.skip(reason="no runtime: install the package or set PYOCI_RUNTIME"))
        only = item.get_closest_marker("only")
        if only and kind not in only.args:
            item.add_marker(pytest.mark.skip(reason=f"a promise of {' and '.join(only.args)} only"))
        differs = peers.of(name_of(item), listed)
        if differs and differs.harmful:
            item.add_marker(pytest.mark.skip(reason=f"{kind} would harm the machine: {differs.reason}"))
        elif differs:
            item.add_marker(pytest.mark.xfail(reason=differs.reason, strict=differs.always))


def name_of(item: pytest.Item) -> str:
    """The name of a test as the lists of peers have it: from the folder of the tests on."""
    return item.nodeid.removeprefix("tests/")


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A directory of this session that users of any user namespace can reach; removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="pyoci-t"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def stopped(number: int, _frame: object) -> None:
    """End the session as Ctrl-C does, so that what the tests made is removed."""
    raise KeyboardInterrupt(signal.Signals(number).name)


@pytest.fixture(scope="session")
def apart() -> None:
    """Set this process apart: own mount namespace (as root), parent of its orphans, tidy when it is stopped."""
    signal.signal(signal.SIGTERM, stopped)
    machine.become_subreaper()
    if machine.is_root():
        machine.own_mount_namespace()


@pytest.fixture(scope="session")
def programs(scratch: Path) -> Programs:
    """Static C programs for the containers."""
    folder = scratch / "programs"
    folder.mkdir()
    return Programs(folder)


@pytest.fixture(scope="session")
def filesystem(scratch: Path) -> RootFilesystem:
    """The maker of root filesystems."""
    return RootFilesystem(scratch)


@pytest.fixture
def folder(scratch: Path, apart: None) -> Iterator[Path]:
    """A directory of this test; removed after it."""
    path = Path(tempfile.mkdtemp(prefix="", dir=scratch))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def runtime(folder: Path, scratch: Path, request: pytest.FixtureRequest) -> Iterator[Runtime]:
    """The runtime under test with an empty state directory; afterwards nothing may be left of the test."""
    if not machine.is_root() and not request.node.get_closest_marker("rootless"):
        pytest.skip("needs root with CAP_SYS_ADMIN")
    path = find()
    assert path is not None
    calls = folder / "calls"
    calls.mkdir()
    leaks = LeakChecker(scratch.name, folder / "root")
    yield Runtime(path, folder / "root", calls)
    left = leaks.settled()
    if left:
        leaks.clean()
        shutil.rmtree(folder / "root", ignore_errors=True)
        pytest.fail("left behind:\n" + "\n".join(left))


@pytest.fixture
def box(runtime: Runtime, folder: Path, filesystem: RootFilesystem, scratch: Path) -> Iterator[Boxes]:
    """A maker of containers: `box("/bin/true")`, `box.sh("echo hi")`."""
    boxes = Boxes(runtime, folder, filesystem, scratch.name)
    yield boxes
    boxes.finish()
