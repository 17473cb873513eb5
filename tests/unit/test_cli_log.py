"""The log: where lines go, what they look like, and what engines read out of them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pyoci.base.errors import OciError
from pyoci.base.log import Log

ERROR = OciError(
    "mount",
    'mounts[4] (tmpfs on /dev/shm): option "mode=9"',
    pointer="/mounts/4/options/2",
    errno=22,
    hint="use octal",
)
TEXT = 'mounts[4] (tmpfs on /dev/shm): option "mode=9": invalid argument'


@pytest.fixture
def log() -> Log:
    """The log of a `create` that was told nothing of a file."""
    made = Log()
    made.operation = "create"
    return made


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_plain_text_on_standard_error(log: Log, capfd: pytest.CaptureFixture[str]) -> None:
    log.failure(ERROR)
    assert capfd.readouterr().err == f"pyoci: create: {TEXT}\n  hint: use octal\n"


def test_debug_shows_the_fields(log: Log, capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("", json=False, debug=True)
    log.failure(ERROR)
    assert "code=mount pointer=/mounts/4/options/2 errno=EINVAL" in capfd.readouterr().err


def test_json_in_a_file_and_text_on_standard_error(
    log: Log, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log"
    log.configure(str(file), json=True, debug=False)
    log.failure(ERROR)
    entry = json.loads(file.read_text())
    time = datetime.fromisoformat(entry.pop("time"))
    assert abs(datetime.now(UTC) - time) < timedelta(minutes=1)
    assert entry == {
        "level": "error",
        "msg": f"{TEXT}; hint: use octal",
        "operation": "create",
        "code": "mount",
        "pointer": "/mounts/4/options/2",
        "errno": "EINVAL",
        "hint": "use octal",
    }
    assert TEXT in capfd.readouterr().err


def test_json_on_standard_error(log: Log, capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("/dev/stderr", json=True, debug=False)
    log.failure(ERROR)
    assert json.loads(capfd.readouterr().err)["msg"] == f"{TEXT}; hint: use octal"


def test_text_in_a_file(log: Log, tmp_path: Path) -> None:
    file = tmp_path / "log"
    log.configure(str(file), json=False, debug=False)
    log.failure(ERROR)
    assert re.fullmatch(
        r'time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z" '
        r'level=error msg="mounts.*: invalid argument; hint: use octal" operation=create '
        r'code="mount" pointer="/mounts/4/options/2" errno="EINVAL" hint="use octal"\n',
        file.read_text(),
    )


def test_the_file_is_appended_to_and_not_kept_open(log: Log, tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text('{"level":"error","msg":"earlier"}\n')
    before = set(Path("/proc/self/fd").iterdir())
    log.configure(str(file), json=True, debug=False)
    assert {fd.name for fd in Path("/proc/self/fd").iterdir()} == {fd.name for fd in before}
    log.failure(ERROR)
    assert [entry["msg"] for entry in lines(file)] == ["earlier", f"{TEXT}; hint: use octal"]


def test_warnings_go_into_the_one_line_of_a_failure(
    log: Log, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log"
    log.configure(str(file), json=True, debug=False)
    log.warning("first", code="a-code", pointer="/x")
    log.warning("second")
    assert file.read_text() == ""
    log.failure(ERROR)
    log.finish()
    assert [entry.get("warnings") for entry in lines(file)] == [["first", "second"]]
    assert "first" not in capfd.readouterr().err


def test_warnings_of_a_success_are_written_at_the_end(
    log: Log, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "log"
    log.configure(str(file), json=True, debug=False)
    log.warning("first", code="a-code", pointer="/x")
    log.finish()
    (entry,) = lines(file)
    assert (entry["level"], entry["msg"], entry["code"], entry["pointer"]) == (
        "warning",
        "first",
        "a-code",
        "/x",
    )
    assert capfd.readouterr().err == ""


def test_warnings_without_a_file_go_to_standard_error(log: Log, capfd: pytest.CaptureFixture[str]) -> None:
    log.warning("take care")
    assert capfd.readouterr().err == "pyoci: create: warning: take care\n"
    log.finish()
    assert capfd.readouterr().err == ""


def test_details_need_debug(log: Log, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "log"
    log.configure(str(file), json=True, debug=False)
    log.debug("detail")
    assert file.read_text() == ""
    log.configure(str(file), json=True, debug=True)
    log.debug("detail")
    assert [entry["level"] for entry in lines(file)] == ["debug"]
    log.configure("", json=False, debug=True)
    log.debug("detail")
    line = capfd.readouterr().err
    assert re.fullmatch(r'time="[^"]+" level=debug msg="detail" operation=create\n', line)


def test_a_file_that_cannot_be_opened(log: Log, tmp_path: Path) -> None:
    with pytest.raises(OciError) as caught:
        log.configure(str(tmp_path / "no" / "log"), json=True, debug=False)
    assert caught.value.code == "log-file"
    assert "no such file or directory" in caught.value.text()


def test_a_file_that_fills_up_does_not_hide_the_error(log: Log, capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("/dev/full", json=True, debug=False)
    log.failure(ERROR)
    assert TEXT in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b ä 漢", "a b ä 漢"),
        ("two\nlines\tand", "two\\nlines and"),
        ("\x1b[31m", "\\x1b[31m"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), "caf\\xe9"),
        ("\u202e", "\\u202e"),
    ],
)
def test_control_characters_are_shown_not_sent(
    log: Log, text: str, shown: str, capfd: pytest.CaptureFixture[str]
) -> None:
    log.failure(OciError("x", text, hint=text))
    assert capfd.readouterr().err == f"pyoci: create: {shown}\n  hint: {shown}\n"
