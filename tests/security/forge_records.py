"""Forges a container's record, field after field, and runs a verb on each; called in mount and pid namespaces of its own.

A runtime that believes such a record kills and removes what it names: the whole tree of cgroups with all processes of the
machine, for one. So everything is read-only here but a tmpfs and the neighbour's cgroups, and no process outside of the pid
namespace can be signalled. In the neighbour's cgroups there is a process that can.

The one argument is JSON: runtime, verb, entry (ROOT/ID of a container), id, neighbour (ROOT/ID of another). The last line of the
output is JSON: how many records were tried, and what went wrong.

A verb runs in a fork of this process, which has pyoci's modules already: a tenth of the time that a command takes to start. Each
EACH-th record goes to the command itself. Several workers share the records, because `delete` waits for a cgroup that is busy.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from pyoci.cli import program

STAGE = Path("/mnt")
NEVER = 1 << 40  # no process has started then
WORKERS = 8
EACH = 20
SECONDS = 60
# which systemd, where it runs, has not
UNIT = {"manager": "systemd", "unit": "pyoci-of-no-container.scope", "user": False, "invocation": "0" * 32}
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


def set_stage(home: list[str]) -> None:
    """Make everything read-only but the neighbour's cgroups, and mount a tmpfs for what the workers need.

    The mounts of the hierarchies stay writable, as a runtime does not go from one mount into another: each cgroup beside the
    neighbour's is covered by itself. Raises RuntimeError where a process outside could still be signalled.
    """
    if os.getppid() != 0:
        raise RuntimeError("a pid namespace is missing")
    for one in {place for path in home for place in [Path(path), *Path(path).parents[:-1]]}:
        if one.is_relative_to("/sys/fs/cgroup") and not one.is_mount():
            for beside in one.parent.iterdir():
                if beside.is_dir() and beside != one and not beside.is_mount():
                    subprocess.run(
                        ["mount", "--bind", str(beside), str(beside)], check=False
                    )  # or it is gone
    kept = {next(str(place) for place in Path(path).parents if place.is_mount()) for path in home}
    for row in Path("/proc/self/mountinfo").read_text().splitlines():
        place = row.split()[4].encode().decode("unicode_escape")
        if place not in kept and not place.startswith(("/proc", "/dev")):
            done = subprocess.run(["mount", "-o", "remount,bind,ro", place], check=False, capture_output=True)
            # a cgroup may have gone meanwhile, or be a new one
            if done.returncode and os.path.ismount(place):
                raise RuntimeError(f"{place} stays writable: {done.stderr!r}")
    subprocess.run(["mount", "-t", "tmpfs", "none", str(STAGE)], check=True)


def make_canary(canary: Path) -> None:
    """A tree that no verb may change, with files of the names that verbs write to."""
    for name in ("empty", "empty/below", "tree/a/b/c", "tree/d"):
        (canary / name).mkdir(parents=True, exist_ok=True)
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
        (canary / name).write_text("0\n")
    os.mkfifo(canary / "fifo")


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


def forgeries(
    record: dict[str, Any], other: dict[str, Any], guest: tuple[int, int], canary: Path
) -> list[dict[str, Any]]:
    """Records with one field, or those that belong together, forged."""
    places = [
        "/", "/..", str(canary), str(canary / "empty"), str(canary / "tree"), f"/sys/fs/cgroup/../../..{canary}",
        f"/sys/fs/cgroup/memory/../../../..{canary}/tree", f"..{canary}", "", "/sys/fs/cgroup", "/sys/fs/cgroup/memory/..",
        children(other)[0],  # delete waits some seconds for each of its kind, as it is busy
    ]  # fmt: skip
    made: list[dict[str, Any]] = []
    for place in places:
        facts = os.stat(place) if os.path.isabs(place) and os.path.exists(place) else None
        own = record["cgroup"].get("ids", {})
        ids = [{}, own, {**own, place: [facts.st_dev, facts.st_ino]}] if facts else [{}, own]
        for known in ids:
            one = {"rootless": False, "kept": [], "ids": known}
            names = list(record["cgroup"].get("paths", {"memory": 0}))
            forged = [
                {"manager": "v1", "paths": dict.fromkeys(names, place), **one},
                {"manager": "v2", "path": place, **one},
            ]
            if not (
                place in known and place in children(other)
            ):  # a record that names the neighbour's ids is the neighbour's
                made += [
                    {"cgroup": cgroup, **extra}
                    for cgroup in forged
                    for extra in ({}, {"pid": 0, "start": 0, "status": "creating"})
                ]
                made += [{"cgroup": cgroup, "format": 1, "hooks": {}} for cgroup in forged]
                made += [{"cgroup": {**UNIT, "inner": cgroup}} for cgroup in forged]
                made += [{"cgroup": cgroup, "flags": {"host_pid": True}, "start": NEVER} for cgroup in forged]
        made += [
            {"trace": f"{place}/t"},
            {"trace": f"{canary}/file"},
            {"bundle": place},
            {"rootfs": place},
            {"id": place},
            *[{"rdt": {"group": place, "monitor": "", "kept": [], "ids": known}} for known in ids],
            {"rdt": {"group": "", "monitor": place, "kept": [], "ids": ids[-1]}},
        ]
    inner = {**record["cgroup"], "ids": {}}
    made += [
        {"cgroup": {**UNIT, "inner": inner, "unit": name}} for name in ("", "../x", "a\n", "x" * 300, None, 5)
    ]
    made += [{"cgroup": {**UNIT, "inner": inner, "invocation": name}} for name in ("x", "0" * 33, None, 5)]
    pid, start = guest
    value: Any
    for value in (-1, 1, 1 << 40, "1", None, [], {}, pid):
        made += [
            {"pid": value},
            {"pid": value, "start": start + 1},
            {"creator": [value, 1]},
            {"start": value},
        ]
    hook = {"path": "/bin/sh", "args": ["sh", "-c", f"echo hit > {canary}/file"]}
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


def waiting(guest: tuple[int, int], canary: Path) -> list[dict[str, Any]]:
    """Records of a container that waits for `start`; with `waits` its fifos are fifos. For a verb that kills nothing."""
    made = {"pid": guest[0], "start": guest[1], "status": "created"}
    traces = ["", str(canary / "file"), str(canary / "fifo"), str(canary / "tree"), str(canary / "empty/new")]
    return [{**made, "trace": trace, "waits": waits} for trace in traces for waits in (False, True)]


def start_time(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def put(config: dict[str, Any], entry: Path, canary: Path, record: dict[str, Any]) -> None:
    """Make an entry with a record; its fifos lead to the canary, unless the container is to wait."""
    shutil.rmtree(entry, ignore_errors=True)
    entry.mkdir(0o711)
    (entry / "config.json").write_text(json.dumps(config))
    for name, target in (("start", "start"), ("failure", "fifo")):
        os.mkfifo(entry / name) if record.get("waits") else os.symlink(canary / target, entry / name)
    (entry / "state.json").write_text(json.dumps(record))


def run_forked(arguments: list[str]) -> tuple[int, str]:
    """Run a command line of pyoci in a fork; its wait status and what it said on standard error."""
    said = os.memfd_create("stderr")
    pid = os.fork()
    if pid == 0:
        os.setsid()  # a 0 in what is read as cgroup.procs stands for the reader's process group
        os.dup2(os.open("/dev/null", os.O_RDWR), 0)
        os.dup2(os.open("/dev/null", os.O_RDWR), 1)
        os.dup2(said, 2)
        program.run(arguments)
    pidfd = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd)
    ended = poll.poll(SECONDS * 1000)
    if not ended:
        os.kill(pid, signal.SIGKILL)
    os.close(pidfd)
    status = os.waitpid(pid, 0)[1]
    text = os.pread(said, 1 << 16, 0).decode(errors="replace")
    os.close(said)
    if not ended:
        raise TimeoutError
    return os.waitstatus_to_exitcode(status), text


def run_command(arguments: list[str]) -> tuple[int, str]:
    """The same through the command."""
    command = [TASK["runtime"], *arguments]
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return ended.returncode, ended.stderr


class Worker:
    """One of those that share the records, with a ROOT, a canary and a process of its own that must not be hit."""

    def __init__(self, number: int) -> None:
        source = Path(TASK["entry"])
        self.record = json.loads((source / "state.json").read_text())
        other = json.loads((Path(TASK["neighbour"]) / "state.json").read_text())
        self.config = json.loads((source / "config.json").read_text())
        self.config["linux"]["cgroupsPath"] = "/pyoci-of-no-container"
        self.root, self.canary = STAGE / f"root{number}", STAGE / f"canary{number}"
        self.root.mkdir(0o700)
        make_canary(self.canary)
        self.before = look(self.canary)
        nowhere = subprocess.DEVNULL
        self.guest = subprocess.Popen(["sleep", "1000"], stdin=nowhere, stdout=nowhere, stderr=nowhere)
        self.home = children(other)
        self.lodger = subprocess.Popen(["sleep", "1000"], stdin=nowhere, stdout=nowhere, stderr=nowhere)
        for path in self.home:
            Path(path, "cgroup.procs").write_text(str(self.lodger.pid))
        self.limits = [Path(path, "pids.max") for path in self.home if Path(path, "pids.max").exists()]
        self.kept = [path.read_text() for path in self.limits]
        guest = (self.guest.pid, start_time(self.guest.pid))
        self.forged = forgeries(self.record, other, guest, self.canary)
        if TASK["verb"] == "start":
            self.forged += waiting(guest, self.canary)
        self.wrong: list[Any] = []
        self.tried = self.damaged = self.started = 0
        id = TASK["id"]
        self.words = [id if word == "ID" else word for word in COMMANDS[TASK["verb"]]]
        if id not in self.words and TASK["verb"] != "list":
            self.words.append(id)

    def work(self, queue: int) -> None:
        """Try the records whose numbers come from a pipe."""
        while (number := os.read(queue, 2)) and len(self.wrong) < 6 and not self.lost():
            self.attempt(int.from_bytes(number, "big"))
            self.tried += 1
        for process in (self.guest, self.lodger):
            process.kill()
            process.wait()

    def lost(self) -> bool:
        """Whether one of the two processes is gone that no verb may kill."""
        return any(process.poll() is not None for process in (self.guest, self.lodger))

    def told(self) -> dict[str, Any]:
        """What the test wants to know."""
        return {
            "records": len(self.forged),
            "tried": self.tried,
            "damaged": self.damaged,
            "started": self.started,
            "wrong": self.wrong,
            "cgroups of the neighbour": self.home,
        }

    def attempt(self, number: int) -> None:
        """Run the verb on one forged record, and see what it did."""
        forged = self.forged[number]
        # a process that is gone and no cgroups: the container itself is not what is tried here
        record = {**self.record, "start": NEVER, "cgroup": None, **forged}
        put(self.config, self.root / TASK["id"], self.canary, record)
        end = os.open(self.root / TASK["id"] / "start", os.O_RDWR) if forged.get("waits") else -1
        run = run_forked if number % EACH else run_command
        try:
            status, text = run(["--root", str(self.root), *self.words])
            self.damaged += "its record can't be read" in text
            self.started += status == 0 and forged.get("waits", False)
            if "Traceback" in text or status < 0:
                self.wrong.append([forged, "traceback", text])
        except TimeoutError:
            self.wrong.append([forged, "hangs"])
        if end >= 0:
            os.close(end)
        if look(self.canary) != self.before:
            self.wrong.append([forged, "the canary"])
            shutil.rmtree(self.canary)
            make_canary(self.canary)
            self.before = look(self.canary)
        if self.lost():
            self.wrong.append([forged, "a process was killed, by this record or one tried at the same time"])
        if [path.read_text() for path in self.limits] != self.kept or not all(map(os.path.isdir, self.home)):
            self.wrong.append(
                [forged, "the neighbour's cgroup, by this record or one tried at the same time"]
            )


def main() -> None:
    set_stage(children(json.loads((Path(TASK["neighbour"]) / "state.json").read_text())))
    import_module("pyoci.cli." + COMMANDS[TASK["verb"]][0])
    queue, numbers = os.pipe()
    answers = []
    for number in range(WORKERS):
        answer, ours = os.pipe()
        answers.append(os.fdopen(answer))
        if os.fork() == 0:
            worker = Worker(number)
            if number == 0:
                os.write(numbers, b"".join(one.to_bytes(2, "big") for one in range(len(worker.forged))))
            os.close(numbers)
            worker.work(queue)
            with os.fdopen(ours, "w") as stream:
                json.dump(worker.told(), stream)
            os._exit(0)
        os.close(ours)
    os.close(numbers)
    told = [json.load(answer) for answer in answers]
    result = {name: sum(one[name] for one in told) for name in ("tried", "damaged", "started")}
    print(json.dumps({**told[0], **result, "wrong": [wrong for one in told for wrong in one["wrong"]]}))


if __name__ == "__main__":
    TASK = json.loads(sys.argv[1])
    main()
