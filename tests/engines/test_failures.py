"""What engines show their users of a failure: the table of docs/engines.md, line by line."""

from __future__ import annotations

import json
import re

import pytest
from harness import machine
from harness.engines import Engine
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
        return ["--cgroup-parent", "pyoci.slice"], "true"
    assert "execve" in situation, situation
    profile = engine.folder / "no-execve.json"
    profile.write_text(json.dumps(NO_EXECVE))
    if program == "ctr":
        return ["--seccomp", "--seccomp-profile", str(profile)], "/bin/true"
    return ["--security-opt", f"seccomp={profile}"], "/bin/true"


@pytest.mark.parametrize(("situation", "program", "line"), rows())
def test_the_line_of_a_failure(
    request: pytest.FixtureRequest, situation: str, program: str, line: str
) -> None:
    engine: Engine = request.getfixturevalue(FIXTURE[program])
    if "pyoci" not in engine.shell(f"{engine.runtime} --version"):
        pytest.skip("the lines are those of pyoci")
    if "systemd" in situation and machine.systemd_runs():
        pytest.skip("systemd runs here")
    asked, command = options(situation, program, engine)
    image = [IMAGE[program]] + (["failing"] if program == "ctr" else [])
    own = (
        ["--runc-binary", str(engine.runtime), "--snapshotter", "native"]
        if program == "ctr"
        else ["--network=none"]
    )
    ended = engine.call(
        *(["--cgroup-manager=systemd"] if "systemd" in situation else []),
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
