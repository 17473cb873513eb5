"""`pyoci plan`: the plan of a bundle as text and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from unit import plans

from pyoci.base.errors import OciError
from pyoci.preview import show


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rootfs").mkdir()
    monkeypatch.chdir(tmp_path)
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
    assert show.show(path, "text") == 0
    text = capfdbinary.readouterr().out.decode()
    assert text.startswith(
        f"bundle {bundle}\nborn in new namespaces: pid\n\nearly\n   0  join              network namespace /ns/net"
    )
    assert [line for line in text.splitlines() if line in ("early", "prepare", "finish")] == [
        "early",
        "prepare",
        "finish",
    ]
    rows = {line.split()[-1]: line for line in text.splitlines() if line}
    assert "hostname box" in rows["/hostname"]
    assert "[size=1k, nosuid]" in next(line for line in text.splitlines() if "mount new" in line)
    assert "[CAP_KILL]" in rows["/process/capabilities/bounding"]
    assert (
        text.index("prestart hook /h/p  /hooks/prestart/0")
        < text.index("createRuntime hook /h/c")
        < text.index("\nfinish")
    )


def test_json(bundle: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert show.show(write(bundle), "json") == 0
    document = json.loads(capfdbinary.readouterr().out)
    assert document["bundle"] == str(bundle)
    assert list(document["plans"]) == ["early", "prepare", "finish"]
    for ops in document["plans"].values():
        assert [op["index"] for op in ops] == list(range(len(ops)))
    last = document["plans"]["finish"][-1]
    assert (last["op"], last["pointer"], last["texts"][0]) == ("exec", "/process/args", ["/bin/sh"])


def test_what_create_refuses_has_no_plan(bundle: Path) -> None:
    with pytest.raises(OciError) as caught:
        show.show(
            write(
                bundle, mounts=[{"destination": "/b", "type": "bind", "source": "/", "options": ["mode=1"]}]
            ),
            "text",
        )
    assert caught.value.pointer == "/mounts/0/options"
