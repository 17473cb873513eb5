"""`pyoci plan`: the plan of a bundle as text and as JSON."""

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
from pyoci.preview import show, steps


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rootfs").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(posix, "geteuid", lambda: 0)  # others need a user namespace
    return tmp_path


def write(bundle: Path, **changes: Any) -> str:
    (bundle / "config.json").write_text(json.dumps(plans.spec(**changes)))
    return str(bundle)


def test_text(bundle: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    path = write(
        bundle,
        hostname="box",
        mounts=[
            {"destination": "/t", "type": "tmpfs", "source": "t", "options": ["nosuid", "ro", "size=1k"]}
        ],
        hooks={"prestart": [{"path": "/h/p"}], "createRuntime": [{"path": "/h/c"}]},
        process__capabilities={"bounding": ["CAP_KILL"]},
        linux__namespaces=plans.namespaces("pid", "mount", "uts", network="/ns/net"),
    )
    assert show.show(Context(), path, "text") == 0
    text = capfdbinary.readouterr().out.decode()
    assert text.startswith(
        f"bundle {bundle}\nborn in new namespaces: pid\n\nearly\n   0  setns                network namespace /ns/net"
    )
    assert [line for line in text.splitlines() if line in ("early", "prepare", "finish")] == [
        "early",
        "prepare",
        "finish",
    ]
    rows = {line.split()[-1]: line for line in text.splitlines() if line}
    assert "hostname box" in rows["/hostname"]
    made = next(line for line in text.splitlines() if "fsmount" in line)
    assert "tmpfs on /t  [options size=1k, attributes nosuid]" in made
    assert "[capabilities CAP_KILL]" in rows["/process/capabilities/bounding"]
    assert (
        text.index("prestart hook /h/p  /hooks/prestart/0")
        < text.index("createRuntime hook /h/c")
        < text.index("\nfinish")
    )


def test_json(bundle: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert show.show(Context(), write(bundle), "json") == 0
    document = json.loads(capfdbinary.readouterr().out)
    assert document["bundle"] == str(bundle)
    assert list(document["plans"]) == ["early", "prepare", "finish"]
    for rows in document["plans"].values():
        assert [row["index"] for row in rows] == list(range(len(rows)))
    last = document["plans"]["finish"][-1]
    assert (last["op"], last["pointer"], last["fields"]["args"]) == ("execve", "/process/args", ["/bin/sh"])


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
        "uid 1, gid 2, groups 3 4, setgroups denied",
        ops.user(uid=1, gid=2, groups=[3, 4], setgroups_denied=True),
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


def test_what_create_refuses_has_no_plan(bundle: Path) -> None:
    with pytest.raises(OciError) as caught:
        show.show(
            Context(),
            write(
                bundle, mounts=[{"destination": "/b", "type": "bind", "source": "/", "options": ["mode=1"]}]
            ),
            "text",
        )
    assert caught.value.pointer == "/mounts/0/options/0"
