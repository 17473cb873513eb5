"""Names, texts and numbers of config.json and of the container that are made to harm the terminal, the report or the runtime."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from harness import machine
from harness.boxes import Boxes

pytestmark = pytest.mark.only("pyoci")

NASTY = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\u2066\x9b31m"


def unseen(text: str) -> set[str]:
    """The characters of a text that nobody sees."""
    return {letter for letter in text if letter != "\n" and not letter.isprintable()}


@pytest.mark.parametrize(
    "words",
    [["plan"], ["plan", "--format", "json"], ["plan", "--steps"], ["validate"]],
)
def test_a_terminal_obeys_nothing_of_a_config(box: Boxes, words: list[str]) -> None:
    made = box.sh(f"echo {NASTY}")
    made.process["env"].append(f"A={NASTY}\nforged line")
    made.config["hostname"] = "x\x1b[2J"
    made.config["annotations"] = {NASTY: NASTY}
    made.mount(f"/{NASTY}", "tmpfs", NASTY, f"{NASTY}=1")
    made.linux["sysctl"] = {f"net.{NASTY}": "1"}
    if words[0] == "validate":
        made.process["scheduler"] = {"policy": NASTY}
    made.save()
    found = made.runtime.call(*words, str(made.directory))
    assert "owned" in found.out + found.err
    assert unseen(found.out + found.err) == set()
    assert "\nforged line" not in found.out


def test_a_terminal_obeys_nothing_of_an_error(box: Boxes) -> None:
    made = box(f"/bin/{NASTY}")
    found = made.run(check=False)
    assert found.rc != 0 and "owned" in found.err and unseen(found.err) == set()


def test_a_terminal_obeys_nothing_of_a_process(box: Boxes, folder: Path) -> None:
    """The names of processes are the container's: ps and list show them."""
    made = box("/bin/x\u202e\x1b[2J")
    made.file("bin/x\u202e\x1b[2J", "#!/bin/sh\nsleep 1000\n", 0o755)
    made.launch()
    for words in (["ps", made.id], ["list"], ["state", made.id], ["list", "--format", "json"]):
        found = made.runtime.call(*words)
        assert found.rc == 0 and unseen(found.out + found.err) == set()
    made.stop()


@pytest.mark.parametrize("timeout", [2147484, 2**31, 2**63 - 1, 2**63, 10**30])
@pytest.mark.parametrize(
    "kind", ["createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
)
def test_a_hook_with_a_very_long_timeout(box: Boxes, kind: str, timeout: int) -> None:
    made = box("/bin/true")
    made.config["hooks"] = {kind: [{"path": "/bin/true", "timeout": timeout}]}
    found = made.run(check=False)
    assert "Traceback" not in found.err
    assert (found.rc, found.err) == (0, "") or "hooks" in found.err


@pytest.mark.parametrize("name", ["pyoci-init", "pyoci"])
def test_a_program_with_the_name_of_the_init(box: Boxes, name: str) -> None:
    """That it ends at once, however that is, is no failure of the runtime."""
    made = box(f"/bin/{name}")
    made.file(f"bin/{name}", "#!/bin/sh\nprintf pyoci/init >/proc/$$/comm; exit ${1:-7}\n", 0o755)
    for _ in range(5):
        found = made.run(check=False)
        assert (found.rc, found.err) == (7, "")
    made.sh("sleep 1000")
    made.launch()
    found = made.exec(f"/bin/{name}", "8", check=False)
    assert (found.rc, found.err) == (8, "")
    made.stop()
    made.args(f"/bin/{name}", "0")
    made.launch()
    made.wait()


@pytest.mark.parametrize("half", ["\\ud800", "\\udc80", "\\udfff"])
@pytest.mark.parametrize("field", ["hostname", "domainname", "bundle"])
@pytest.mark.parametrize("verb", ["run", "create", "plan", "validate"])
def test_half_of_a_character(box: Boxes, verb: str, field: str, half: str) -> None:
    made = box("/bin/true")
    made.config["zzz" if field == "bundle" else field] = "HALF"
    made.save()
    path = made.directory / "config.json"
    path.write_text(path.read_text().replace("HALF", half))
    command = ["-b", str(made.directory), made.id] if verb in ("run", "create") else [str(made.directory)]
    found = made.runtime.call(verb, *command)
    assert found.rc == 1 and "Traceback" not in found.err + found.out


@pytest.mark.skipif(machine.cgroup_version() == 1, reason="cgroup v1 leaves out whom the reader does not see")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
def test_kill_all_from_a_pid_namespace_that_does_not_see_the_container(box: Boxes) -> None:
    """cgroup.procs has a 0 for each process out of sight, and kill(0) would signal the caller's own group."""
    made = box("/bin/sleep", "1000").launch()
    command = made.runtime.argv("kill", "--all", made.id, "TERM")
    script = f"trap 'echo hit' TERM; {' '.join(command)}; echo $?"
    found = subprocess.run(
        ["unshare", "-pf", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    assert "hit" not in found.stdout and found.returncode != -signal.SIGTERM
    assert found.stdout == "1\n" and "pid namespace" in found.stderr
    made.stop()


def test_the_state_of_a_container_is_json_whatever_its_annotations(box: Boxes) -> None:
    made = box("/bin/true")
    made.config["annotations"] = {"nasty": NASTY}
    made.create()
    found = made.runtime.call("state", made.id)
    assert unseen(found.out) == set() and json.loads(found.out)["annotations"] == {"nasty": NASTY}
