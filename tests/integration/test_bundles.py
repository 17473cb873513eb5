"""The example bundles do what bundles/README.md says, with every runtime."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import machine
from harness.bundle import chown_tree
from harness.runtime import Runtime
from harness.terminal import Seat

BUNDLES = machine.repository() / "bundles"
NOBODY = 65534
Taker = Callable[[str], Path]


@pytest.fixture
def take(folder: Path) -> Taker:
    """Copies an example to where any user can reach it; gives its directory."""

    def copy(name: str) -> Path:
        if not (BUNDLES / name / "rootfs/bin").is_dir():
            pytest.skip(f"no root file system: bundles/make-rootfs {name}")
        return Path(shutil.copytree(BUNDLES / name, folder / name, symlinks=True))

    return copy


@pytest.fixture
def id(folder: Path, scratch: Path) -> str:
    """The id of the container."""
    return f"{scratch.name}-{folder.name}"


def test_hello(runtime: Runtime, take: Taker, id: str) -> None:
    found = runtime.call("run", "--bundle", str(take("hello")), id).ok()
    assert found.out.startswith('Hello from a container: process 1 on host "hello", Linux ')


def test_shell(runtime: Runtime, take: Taker, id: str) -> None:
    seat = Seat()
    process = seat.run(runtime.argv("run", "--bundle", str(take("shell")), id))
    seat.master.type("tty; echo $((6 * 7)) on $(hostname); exit 3\n")
    seat.master.until("42 on shell")
    assert process.wait(30) == 3
    seat.close()


def test_web(runtime: Runtime, take: Taker, id: str) -> None:
    """It listens in the host's network; here it is asked through the container itself."""
    runtime.call("run", "--detach", "--bundle", str(take("web")), id).ok()
    ask = "for try in $(seq 100); do wget -qO- http://127.0.0.1:8080/ && exit 0; sleep 0.1; done"
    page = runtime.call("exec", id, "sh", "-c", f"{ask} 2>/dev/null").ok().out
    limits = runtime.call("exec", id, "sh", "-c", "id -u; grep -c . /proc/self/cgroup").ok().out
    runtime.call("delete", "--force", id).ok()
    assert "Served from a container." in page
    assert limits.startswith("65534\n")


def test_hardened(runtime: Runtime, take: Taker, id: str) -> None:
    found = runtime.call("run", "--bundle", str(take("hardened")), id).ok()
    assert [line.split() for line in found.lines()] == [
        ["uid=1000(user)", "gid=1000(user)"],
        ["CapEff:", "0" * 16],
        ["CapBnd:", "0" * 16],
        ["NoNewPrivs:", "1"],
        ["Seccomp:", "2"],
        ["0", "100000", "65536"],
    ]
    assert "Read-only file system" in found.err and "Operation not permitted" in found.err


def test_rootless(runtime: Runtime, take: Taker, id: str, folder: Path) -> None:
    if reason := machine.user_namespaces_unprivileged():
        pytest.skip(reason)
    bundle = take("rootless")
    text = (bundle / "config.json.in").read_text()
    (bundle / "config.json").write_text(text.replace("@UID@", str(NOBODY)).replace("@GID@", str(NOBODY)))
    chown_tree(bundle, NOBODY, NOBODY)
    folder.chmod(0o1777)
    runtime.user = NOBODY
    found = runtime.call("run", "--bundle", str(bundle), id).ok()
    assert found.lines()[0].startswith("uid=0(root) gid=0(root)")
    assert found.lines()[1].split() == ["0", str(NOBODY), "1"]
    assert found.lines()[2] == "rootless"
