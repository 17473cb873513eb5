"""What engines show their users of a failure: the table of docs/engines.md, line by line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import machine
from harness.engines import Docker, Engine, need, need_asked, opened
from unit.documents import Document, table

IMAGE = {"podman": "localhost/box", "docker": "localhost/box", "ctr": "localhost/box:latest"}
FIXTURE = {"podman": "podman", "docker": "docker", "ctr": "containerd"}
NO_EXECVE = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
}


def rows() -> list[tuple[str, str, str]]:
    """What is wrong, the engine, and the line that it shows."""
    found = []
    situation = ""
    for first, engine, line in table(Document(machine.repository() / "docs/engines.md"), "what is wrong"):
        situation = first or situation
        found.append((situation, engine, line.strip("`")))
    return found


def options(situation: str, program: str, engine: Engine) -> tuple[list[str], str]:
    """The options of `run`, and the command, that bring the situation about."""
    if "command" in situation:
        return [], "nosuch"
    if "memory" in situation:
        return ["--memory-limit", "1000"] if program == "ctr" else ["-m", "1k"], "true"
    if "device" in situation:
        return ["--device", "/dev/nosuch"], "true"
    if "systemd" in situation:
        return systemd_options(program, "/failing" if "path" in situation else "pyoci.slice"), "true"
    assert "execve" in situation, situation
    profile = engine.folder / "no-execve.json"
    profile.write_text(json.dumps(NO_EXECVE))
    if program == "ctr":
        return ["--seccomp", "--seccomp-profile", str(profile)], "/bin/true"
    return ["--security-opt", f"seccomp={profile}"], "/bin/true"


def systemd_options(program: str, parent: str) -> list[str]:
    """The options of `run` for a cgroup below `parent` by the cgroup driver systemd."""
    if program != "ctr":
        return ["--cgroup-parent", parent]
    return [
        "--runc-systemd-cgroup",
        "--cgroup",
        parent + (":pyoci:failing" if parent.endswith(".slice") else ""),
    ]


class SystemdDocker(Docker):
    """A dockerd with the cgroup driver systemd."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        super().__init__(folder, runtime)
        cgroupfs = {"--exec-opt=native.cgroupdriver=cgroupfs", f"--cgroup-parent=/{self.tag}"}
        others = [word for word in self.daemon_command if word not in cgroupfs]
        self.daemon_command = [*others, "--exec-opt=native.cgroupdriver=systemd"]


@pytest.fixture(scope="module")
def systemd_docker(apart: None) -> Iterator[SystemdDocker]:
    """A dockerd of the module's own that asks for systemd's cgroups."""
    need_asked("docker")
    need("dockerd", "/usr/bin/docker")
    yield from opened(SystemdDocker)


@pytest.mark.parametrize(("situation", "program", "line"), rows())
def test_the_line_of_a_failure(
    request: pytest.FixtureRequest, situation: str, program: str, line: str
) -> None:
    if "does not run" in situation and machine.systemd_runs():
        pytest.skip("systemd runs here")
    driver = "systemd_" if "systemd" in situation and program == "docker" else ""
    engine: Engine = request.getfixturevalue(driver + FIXTURE[program])
    if "pyoci" not in engine.shell(f"{engine.runtime} --version"):
        pytest.skip("the lines are those of pyoci")
    asked, command = options(situation, program, engine)
    image = [IMAGE[program]] + (["failing"] if program == "ctr" else [])
    own = (
        ["--runc-binary", str(engine.runtime), "--snapshotter", "native"]
        if program == "ctr"
        else ["--network=none"]
    )
    ended = engine.call(
        *(["--cgroup-manager=systemd"] if "systemd" in situation and program == "podman" else []),
        "run",
        "--rm",
        *own,
        *asked,
        *image,
        command,
    )
    assert ended.returncode != 0
    shorter = re.sub(r"(: unknown)?\.?$", "", line)  # of docker 28 and containerd 2
    wanted = "|".join(".*".join(map(re.escape, each.split("..."))) for each in (line, shorter))
    assert re.search(f"^({wanted})$", ended.stdout, re.MULTILINE), ended.stdout
