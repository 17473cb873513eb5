"""`pyoci plan`: the page of a bundle, by lines and by steps, as text and as JSON."""

from __future__ import annotations

import json
import posix
from pathlib import Path
from typing import Any

import pytest
from unit import plans
from unit.test_plan_encode import all_plans

from pyoci import _ops as ops
from pyoci._shim import lib
from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.cgroups import paths
from pyoci.lifecycle.requests import CreateRequest
from pyoci.preview import show, steps


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rootfs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(posix, "geteuid", lambda: 0)  # others need a user namespace
    return tmp_path


class Page:
    """Writes a configuration and takes what is printed of it."""

    def __init__(self, bundle: Path, capture: pytest.CaptureFixture[bytes]) -> None:
        self.capture = capture
        self.request = CreateRequest("/run/pyoci", "box", str(bundle))
        self.request.cgroup_manager = "disabled"
        self.waits = True
        self.bundle = bundle

    def write(self, **changes: Any) -> None:
        (self.bundle / "config.json").write_text(json.dumps(plans.spec(**changes)))

    def text(self, *, every_step: bool, as_json: bool = False) -> str:
        given = {"waits": self.waits, "every_step": every_step, "as_json": as_json}
        assert show.show(Context(), self.request, **given) == 0
        return self.capture.readouterr().out.decode()

    def lines(self) -> list[dict[str, str]]:
        found: list[dict[str, str]] = json.loads(self.text(every_step=False, as_json=True))["lines"]
        return found

    def steps(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.text(every_step=True, as_json=True))["steps"]
        return found


@pytest.fixture
def page(bundle: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Page:
    return Page(bundle, capfdbinary)


MOUNT = {"destination": "/t", "type": "tmpfs", "source": "t", "options": ["nosuid", "ro", "size=1k"]}


def test_every_step_as_text(page: Page) -> None:
    page.write(
        hostname="box",
        mounts=[MOUNT],
        hooks={"prestart": [{"path": "/h/p"}], "createRuntime": [{"path": "/h/c"}]},
        process__capabilities={"bounding": ["CAP_KILL"]},
        linux__namespaces=plans.namespaces("pid", "mount", "uts", network="/ns/net"),
    )
    text = page.text(every_step=True)
    assert text.startswith(f"bundle {page.bundle}\n\nruntime\n")
    rows = {line.split()[-1]: line for line in text.splitlines() if line}
    assert "hostname box" in rows["/hostname"]
    made = next(line for line in text.splitlines() if "fsmount" in line)
    assert "tmpfs on /t  [options size=1k, attributes nosuid, mode_of mountpoint]" in made
    assert "[capabilities CAP_KILL]" in rows["/process/capabilities/bounding"]
    order = [
        "/run/pyoci/box/state.json",
        "the init in new namespaces: pid",
        "\nearly\n   0  setns                network namespace /ns/net",
        "\nprepare\n",
        "prestart hook /h/p",
        "createRuntime hook /h/c",
        "\nfinish\n",
        "[the record: created]",
        "wait_start",
        "execve",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_every_step_as_json(page: Page) -> None:
    page.write()
    found = page.steps()
    for plan in ("early", "prepare", "finish"):
        indexes = [step["index"] for step in found if step.get("plan") == plan]
        assert indexes == list(range(len(indexes)))
    last = found[-1]
    assert (last["op"], last["pointer"], last["fields"]["args"]) == ("execve", "/process/args", ["/bin/sh"])


def test_what_the_runtime_does_itself(page: Page) -> None:
    page.request.pid_file = "/run/box.pid"
    maps = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    page.write(
        process__oomScoreAdj=100,
        process__rlimits=[{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}],
        linux__namespaces=plans.namespaces("pid", "mount", "user"),
        linux__uidMappings=maps,
        linux__gidMappings=maps,
        hooks={"poststart": [{"path": "/h/s", "args": ["s", "one"]}]},
    )
    own = [
        (step["op"], step["about"], step.get("value", "")) for step in page.steps() if step["by"] == "runtime"
    ]
    assert own == [
        ("mkdir", "/run/pyoci/box", ""),
        ("write", "/run/pyoci/box/config.json", "as it was read"),
        ("write", "/run/pyoci/box/state.json", "the intent record: creating"),
        ("clone", "the init in new namespaces: user, pid", ""),
        ("prlimit", "RLIMIT_NOFILE, hard limit, when it goes up", "200"),
        ("write", "/proc/PID/oom_score_adj", "100"),
        ("write", "/proc/PID/uid_map", "0 100000 1000"),
        ("write", "/proc/PID/gid_map", "0 100000 1000"),
        ("mkfifo", "/run/pyoci/box/failure", ""),
        ("mkfifo", "/run/pyoci/box/start", ""),
        ("write", "/run/pyoci/box/state.json", "the record: created"),
        ("write", "/run/box.pid", "PID"),
        ("write", "/run/pyoci/box/start", "one byte, by `start`"),
        ("hook", "poststart hook /h/s", "one"),
    ]


def test_namespaces_that_are_made_ahead_are_the_runtimes(page: Page) -> None:
    page.write(linux__namespaces=plans.namespaces("pid", "mount", "uts"))
    first = page.steps()[0]
    assert (first["op"], first["about"]) == ("unshare", "new namespaces: mount, uts")
    assert "unshare" not in [step["op"] for step in page.steps()[1:]]


def test_network_devices(page: Page) -> None:
    page.write(
        linux__namespaces=plans.namespaces("network", "mount"),
        linux__netDevices={"eth1": {"name": "e0"}, "a~b": {}},
    )
    found = [step for step in page.steps() if step["op"] == "netlink"]
    assert [(step["about"], step["pointer"], step["value"]) for step in found] == [
        ("network device eth1", "/linux/netDevices/eth1", "into the container, as e0"),
        ("network device a~b", "/linux/netDevices/a~0b", "into the container, as a~b"),
    ]
    lines = [(line["what"], line["text"]) for line in page.lines() if line["what"] == "network device"]
    assert lines == [
        ("network device", "eth1  into the container, as e0"),
        ("network device", "a~b  into the container, as a~b"),
    ]


def test_run_does_not_wait(page: Page) -> None:
    page.write()
    page.waits = False
    names = [step["op"] for step in page.steps()]
    assert "wait_start" not in names and "mkfifo" not in names


def test_options_of_create_count(page: Page) -> None:
    page.write()
    assert {"pivot_root", "join_session_keyring"} <= {step["op"] for step in page.steps()}
    page.request.no_pivot = page.request.no_new_keyring = True
    assert not {"pivot_root", "join_session_keyring"} & {step["op"] for step in page.steps()}


def test_one_line_for_each_thing(page: Page) -> None:
    page.write(
        hostname="box",
        mounts=[MOUNT],
        root__readonly=True,
        process__rlimits=[{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}],
        process__user={"uid": 7, "gid": 8, "additionalGids": [9]},
        process__noNewPrivileges=True,
        linux__namespaces=plans.namespaces("pid", "mount", "uts", network="/ns/net"),
        linux__maskedPaths=["/proc/acpi", "/proc/keys"],
        linux__sysctl={"kernel.domainname": "x"},
        linux__devices=[{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}],
        hooks={"createRuntime": [{"path": "/h/c"}], "poststop": [{"path": "/h/d"}]},
        domainname="there",
        process__oomScoreAdj=-5,
        process__terminal=True,
        process__consoleSize={"height": 30, "width": 90},
        process__scheduler={"policy": "SCHED_BATCH", "nice": 5},
    )
    found = {(line["what"], line["text"], line["pointer"]) for line in page.lines()}
    assert found >= {
        ("mount", "tmpfs on /t  nosuid,ro,size=1k", "/mounts/0"),
        ("root", "rootfs, read-only", "/root"),
        ("rlimit", "RLIMIT_NOFILE 100:200", "/process/rlimits/0"),
        ("user", "7:8, groups 9", "/process/user"),
        ("namespace", "pid, new", "/linux/namespaces/0"),
        ("namespace", "network, /ns/net", "/linux/namespaces/3"),
        ("masked", "/proc/acpi /proc/keys", "/linux/maskedPaths"),
        ("sysctl", "kernel.domainname = x", "/linux/sysctl/kernel.domainname"),
        ("device", "/dev/fuse  mode 20666, device 10:229", "/linux/devices/0"),
        ("OOM score", "-5", "/process/oomScoreAdj"),
        ("terminal", "of 30 rows, 90 columns", "/process/terminal"),
        ("scheduler", "SCHED_BATCH  policy 3, nice 5", "/process/scheduler"),
        ("domainname", "there", "/domainname"),
        ("hook", "poststop hook /h/d", "/hooks/poststop/0"),
        ("hook", "createRuntime hook /h/c", "/hooks/createRuntime/0"),
        ("hostname", "box", "/hostname"),
        ("program", "/bin/sh", "/process/args"),
    }
    assert len(found) == len(page.lines()) < 30


def test_capabilities_are_those_that_the_process_gets(page: Page) -> None:
    held = lib.pyoci_permitted_capabilities()
    page.write(
        process__capabilities={"bounding": ["CAP_KILL"]},
        linux__namespaces=plans.namespaces("pid", "mount"),
    )
    (line,) = [line for line in page.lines() if line["what"] == "capabilities"]
    bounding = "bounding: KILL; " if held >> 5 & 1 else "bounding, "
    assert line["text"].startswith(bounding) and line["text"].endswith("ambient: none")


def test_the_text_has_what_the_lines_have(page: Page) -> None:
    page.write(mounts=[MOUNT])
    rows = page.text(every_step=False).splitlines()
    assert rows[0] == f"bundle {page.bundle}"
    lines = page.lines()
    assert len(rows) == len(lines) + 1
    for row, line in zip(rows[1:], lines, strict=True):
        assert row.startswith(line["what"]) and line["text"] in row and row.endswith(line["pointer"])


def tree_v2(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that looks like the root of cgroup v2."""
    monkeypatch.setattr(paths, "MOUNT", str(top))
    (top / "cgroup.controllers").write_text("cpu memory pids\n")
    (top / "cgroup.subtree_control").write_text("pids\n")
    monkeypatch.setattr(posix, "access", lambda path, *_args, **_more: Path(path).exists())


def test_cgroup_v2_has_each_file_and_value(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "cgroup"
    top.mkdir()
    tree_v2(top, monkeypatch)
    page.request.cgroup_manager = "cgroupfs"
    page.write(
        linux__cgroupsPath="/a/box", linux__resources={"pids": {"limit": 9}, "memory": {"limit": 1 << 20}}
    )
    own = [
        step
        for step in page.steps()
        if step.get("pointer", "").startswith(("/linux/cgroups", "/linux/resources"))
    ]
    told = [(step["op"], step["about"].removeprefix(str(top)), step.get("value", "")) for step in own]
    rules = "bpf", "/a/box"
    assert [row if row[0] != "bpf" else rules for row in told] == [
        ("mkdir", "/a", ""),
        ("mkdir", "/a/box", ""),
        ("write", "/cgroup.subtree_control", "+cpu +memory"),
        ("write", "/a/cgroup.subtree_control", "+cpu +memory +pids"),
        rules,
        ("write", "/a/box/memory.max", "1048576"),
        ("write", "/a/box/pids.max", "9"),
    ]
    limits = [line["text"] for line in page.lines() if line["what"] == "limit"]
    assert limits == [f"memory.max = 1048576  in {top}/a/box", f"pids.max = 9  in {top}/a/box"]
    assert sorted(path.name for path in top.iterdir()) == ["cgroup.controllers", "cgroup.subtree_control"]


def op_in(words: str, op: ops.Op) -> None:
    assert steps.words(op) == words


def test_fields_in_words() -> None:
    """Each kind of field of csrc/ops.def, as people have its value."""
    op_in(
        "mode 20666, device 259:300000",
        ops.mknod(path="", mode=0o20666, device=259 << 8 | 0xE0 | 0x493 << 20),
    )
    op_in("flags mount uts", ops.unshare(flags=0x4020000))
    op_in("filter 16 bytes", ops.seccomp(filter=bytes(16)))
    op_in(
        "uid 1, gid 2, groups 3 4, keep groups",
        ops.user(uid=1, gid=2, groups=[3, 4], keep_groups=True),
    )
    op_in("old mount, new passed 2", ops.dup(old=lib.REG_MOUNT, new=lib.REG_PASSED + 2))
    change = ops.mount_setattr(mount=lib.REG_MOUNT, set=0x3, clear=0x70, propagation=1 << 19, recursive=True)
    op_in("mount mount, set ro nosuid, clear atime, propagation slave, recursive", change)
    op_in("flags rshared", ops.host_propagation(flags=1 << 20 | 0x4000))
    op_in("resource 0, soft 0, hard 0", ops.setrlimit(resource=0, soft=0, hard=0))


def test_every_op_has_words_and_a_document() -> None:
    for plan in all_plans():
        for index, op in enumerate(plan.ops):
            found = json.loads(json.dumps(steps.document(index, op)))
            assert list(found["fields"]) == [name for name, _, _ in ops.OPS[op.name][1]]
            assert len(steps.words(op)) < 1000


def test_what_create_refuses_has_no_plan(page: Page) -> None:
    page.write(mounts=[{"destination": "/b", "type": "bind", "source": "/", "options": ["mode=1"]}])
    with pytest.raises(OciError) as caught:
        page.text(every_step=False)
    assert caught.value.pointer == "/mounts/0/options/0"
