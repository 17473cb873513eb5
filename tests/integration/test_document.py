"""What config.json may lack, and what it may have that means nothing here."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.boxes import Boxes

pytestmark = pytest.mark.only("pyoci")


def status(pid: int, name: str) -> str:
    """A line of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(name + ":"))


@pytest.mark.parametrize("user_namespace", [False, True])
def test_a_container_without_a_process(box: Boxes, user_namespace: bool) -> None:
    """It can be created, to hold its namespaces and mounts; `process` is required when start is called (config.md)."""
    made = box()
    del made.config["process"]
    if user_namespace:
        made.user_namespace()
    made.create()
    assert made.status == "created"
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status(made.pid, name), 16) == 0, name
    for _ in range(2):
        made.start(check=False).failed("there is no process")
        assert made.status == "created"
    assert made.exec("/bin/echo", "hello", options=("--env", "PATH=/bin")).out == "hello\n"
    assert made.status == "created"
    made.kill("KILL")
    made.wait()
    made.delete()


def test_run_without_a_process_is_refused(box: Boxes) -> None:
    made = box()
    del made.config["process"]
    made.run(check=False).failed("there is no process")
    assert not made.runtime.exists(made.id)


def test_a_process_without_arguments_is_refused(box: Boxes) -> None:
    made = box()
    del made.process["args"]
    made.create(check=False).failed("args must not be empty")


@pytest.mark.parametrize("name", ["windows", "freebsd"])
def test_a_document_for_another_platform_is_refused(box: Boxes, name: str) -> None:
    made = box("/bin/true")
    del made.config["linux"]
    made.config[name] = {"layerFolders": ["x"]} if name == "windows" else {}
    made.create(check=False).failed("another platform", name)
    found = made.runtime.call("validate", str(made.directory))
    assert (found.rc, found.out.count("wrong-platform")) == (0, 1)


def test_members_in_another_letter_case_mean_nothing(box: Boxes) -> None:
    """As members that nobody knows: the specification has them ignored."""
    made = box("/bin/echo", "known")
    made.process["Args"] = ["/bin/echo", "other"]
    made.config["Hostname"] = 5
    assert made.out() == "known\n"


@pytest.mark.parametrize(
    ("text", "member"),
    [
        ('{"pids": {"Limit": 20}}', "/pids/Limit"),
        ('{"Pids": {"limit": 20}}', "/Pids"),
        ('{"memory": {"LIMIT": 5, "x": 1}}', "/memory/LIMIT"),
    ],
)
def test_update_refuses_a_known_member_in_another_letter_case(box: Boxes, text: str, member: str) -> None:
    made = box("/bin/sleep", "1000").launch()
    found = made.runtime.call("update", "--resources", "-", made.id, stdin=text.encode())
    found.failed(member, "did you mean")


def test_update_lets_unknown_members_pass(box: Boxes) -> None:
    """Newer engines send them."""
    made = box("/bin/sleep", "1000").launch()
    text = b'{"pids": {"limit": 20, "soft": 5}, "magic": {}}'
    made.runtime.call("update", "--resources", "-", made.id, stdin=text).ok()
