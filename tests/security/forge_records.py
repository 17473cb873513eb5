"""Forges a container's record, field after field, and runs a verb on each; called in a mount namespace of its own.

The one argument is JSON: runtime, verb, entry (ROOT/ID of a container), id, neighbour (ROOT/ID of another). The last line of the
output is JSON: how many records were tried, and what went wrong.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

STAGE = Path("/mnt")
NEVER = 1 << 40  # no process has started then
CANARY = STAGE / "canary"
ROOT = STAGE / "root"
COMMANDS = {
    "state": ["state"],
    "list": ["list"],
    "kill": ["kill", "ID", "KILL"],
    "kill-all": ["kill", "--all", "ID", "KILL"],
    "pause": ["pause"],
    "resume": ["resume"],
    "update": ["update", "--pids-limit", "77"],
    "ps": ["ps"],
    "exec": ["exec", "ID", "/bin/true"],
    "start": ["start"],
    "delete": ["delete"],
    "delete-force": ["delete", "--force"],
}
PROTECT = ("/", "/tmp", "/run", "/var", "/home", "/root")


def set_stage() -> None:
    """The host read-only, and a tmpfs for ROOT and the canary."""
    for place in PROTECT:
        if os.path.ismount(place):
            subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", str(STAGE)], check=True)
    ROOT.mkdir(0o700)


def make_canary() -> None:
    for name in ("empty", "empty/below", "tree/a/b/c", "tree/d"):
        (CANARY / name).mkdir(parents=True, exist_ok=True)
    for name in (
        "file",
        "tree/file",
        "cgroup.kill",
        "cgroup.procs",
        "freezer.state",
        "pids.max",
        "cgroup.freeze",
        "start",
    ):
        (CANARY / name).write_text("0\n")
    os.mkfifo(CANARY / "fifo")


def look(top: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for place, directories, names in os.walk(top):
        for name in [".", *directories, *names]:
            path = Path(place, name)
            facts = path.lstat()
            text = path.read_bytes() if path.is_file() else b""
            found[str(path)] = [facts.st_mode, facts.st_uid, facts.st_ino, facts.st_mtime_ns, text.hex()]
    return found


def children(record: dict[str, Any]) -> list[str]:
    cgroup = record["cgroup"]
    return sorted(set(cgroup["paths"].values() if cgroup["manager"] == "v1" else [cgroup["path"]]))


def forgeries(record: dict[str, Any], other: dict[str, Any], guest: tuple[int, int]) -> list[dict[str, Any]]:
    """Records with one field, or those that belong together, forged."""
    places = [
        "/", "/..", str(CANARY), str(CANARY / "empty"), str(CANARY / "tree"), f"/sys/fs/cgroup/../../..{CANARY}",
        f"/sys/fs/cgroup/memory/../../../..{CANARY}/tree", f"..{CANARY}", "", "/sys/fs/cgroup", "/sys/fs/cgroup/memory/..",
        children(other)[0],  # delete waits some seconds for each of its kind, as it is busy
    ]  # fmt: skip
    made: list[dict[str, Any]] = []
    for place in places:
        facts = os.stat(place) if place.startswith("/") else None
        ids = [{}, {place: [facts.st_dev, facts.st_ino]}] if facts else [{}]
        for known in ids:
            one = {
                "rootless": False,
                "kept": [],
                "ids": {**record["cgroup"].get("ids", {}), **known} if known else {},
            }
            names = list(record["cgroup"].get("paths", {"memory": 0}))
            forged = [
                {"manager": "v1", "paths": dict.fromkeys(names, place), **one},
                {"manager": "v2", "path": place, **one},
            ]
            if not (
                known and place in children(other)
            ):  # a record that names the neighbour's ids is the neighbour's
                made += [
                    {"cgroup": cgroup, **extra}
                    for cgroup in forged
                    for extra in ({}, {"pid": 0, "start": 0, "status": "creating"})
                ]
                made += [{"cgroup": cgroup, "format": 1, "hooks": {}} for cgroup in forged]
                made += [{"cgroup": cgroup, "flags": {"host_pid": True}, "start": NEVER} for cgroup in forged]
        made += [
            {"trace": f"{place}/t"},
            {"trace": f"{CANARY}/file"},
            {"bundle": place},
            {"rootfs": place},
            {"id": place},
        ]
    pid, start = guest
    value: Any
    for value in (-1, 1, 1 << 40, "1", None, [], {}, pid):
        made += [
            {"pid": value},
            {"pid": value, "start": start + 1},
            {"creator": [value, 1]},
            {"start": value},
        ]
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"echo hit > {CANARY}/file"]}
    for value in (5, None, ["poststop"], {"poststop": [hook], "poststart": [hook]}, [hook]):
        made += [
            {"hooks": value},
            {"hooks": value, "format": 1},
            {"late": value},
            {"flags": value},
            {"annotations": value},
        ]
    made += [
        {"late": [[1 << 40, "a", "b", "c"]]},
        {"created": 5},
        {"status": "x"},
        {"format": 0},
        {"format": 99},
    ]
    return made


def start_time(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def put(source: Path, target: Path, record: dict[str, Any]) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(0o711)
    config = json.loads((source / "config.json").read_text())
    config["linux"]["cgroupsPath"] = "/pyoci-of-no-container"
    (target / "config.json").write_text(json.dumps(config))
    os.symlink(CANARY / "start", target / "start")
    os.symlink(CANARY / "fifo", target / "failure")
    (target / "state.json").write_text(json.dumps(record))


def main() -> None:
    task = json.loads(sys.argv[1])
    source, neighbour, id = Path(task["entry"]), Path(task["neighbour"]), task["id"]
    record = json.loads((source / "state.json").read_text())
    other = json.loads((neighbour / "state.json").read_text())
    set_stage()
    make_canary()
    before = look(CANARY)
    guest = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL)
    home = children(other)
    limits = [Path(path, "pids.max") for path in home if Path(path, "pids.max").exists()]
    kept = [path.read_text() for path in limits]
    words = [id if word == "ID" else word for word in COMMANDS[task["verb"]]]
    if id not in words and task["verb"] != "list":
        words.append(id)
    wrong: list[Any] = []
    tried = 0
    for forged in forgeries(record, other, (guest.pid, start_time(guest.pid))):
        # a process that is gone and no cgroups: the container itself is not what is tried here
        put(source, ROOT / id, {**record, "start": NEVER, "cgroup": None, **forged})
        command = [task["runtime"], "--root", str(ROOT), *words]
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False
            )
            if "Traceback" in ended.stderr or ended.returncode < 0:
                wrong.append([forged, "traceback", ended.stderr])
        except subprocess.TimeoutExpired:
            wrong.append([forged, "hangs"])
        tried += 1
        if look(CANARY) != before:
            wrong.append([forged, "the canary"])
            shutil.rmtree(CANARY)
            make_canary()
            before = look(CANARY)
        if guest.poll() is not None:
            wrong.append([forged, "a process was killed"])
            break
        if [path.read_text() for path in limits] != kept or not all(os.path.isdir(path) for path in home):
            wrong.append([forged, "the neighbour's cgroup"])
            break
        if len(wrong) > 5:
            break
    guest.kill()
    guest.wait()
    print(json.dumps({"tried": tried, "wrong": wrong, "cgroups of the neighbour": home}))


main()
