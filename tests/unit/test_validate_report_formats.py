"""The forms of a report and the verb `validate`."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from unit.check_cases import BASE, spoil

from pyoci.base.errors import OciError
from pyoci.validate import report_formats
from pyoci.validate.command import validate
from pyoci.validate.explain import examine

TEXT = b"""{
  "ociVersion": "1.3.0",
  "root": {"path": "rootfs"},
  "process": {"cwd": "/", "args": ["sh"], "terminal": "yes\x1b[31m", "umask": 5},
  "mount": []
}
"""


def test_text() -> None:
    assert report_formats.text(
        examine(b'{"ociVersion": "1.3.0",\n "root": {"path": 5}}', "c.json")
    ).splitlines() == [
        "c.json:1:1: warning: /process: there is no process: the container can be created, but not started [process-missing]",
        '     1 | {"ociVersion": "1.3.0",',
        "       | ^",
        '       hint: add "process" with "args" and "cwd"',
        "",
        "c.json:2:19: error: /root/path: 5 is not a text [schema-type]",
        '     2 |  "root": {"path": 5}}',
        "       |                   ^",
        "       expected: a text",
        '       hint: write "5" with quotes',
        "",
        "c.json: 1 error, 1 warning",
    ]


def test_text_obeys_no_terminal_sequences() -> None:
    shown = report_formats.text(
        examine(json.dumps(spoil({"/process/cwd": "\x1b[31m\u202e\ud83d\ude00"})).encode(), "x")
    )
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert "\\x1b[31m\\u202e" in shown


def test_the_mark_stands_below_the_place() -> None:
    rows = report_formats.text(
        examine(b'{"ociVersion": "1.3.0",\t"\\u001b\x7f": 1, "hostname": 5}', "x")
    ).splitlines()
    at = next(index for index, row in enumerate(rows) if "/hostname" in row)
    assert rows[at + 2].index("^") == rows[at + 1].index("5}")


@pytest.mark.parametrize(
    ("changes", "strict", "words"),
    [
        ({}, False, "no problems"),
        ({"/process/cwd": "x"}, False, "1 error"),
        ({"/process/cwd": "x", "/process/env/-": "x", "/mount": 1}, False, "2 errors, 1 warning"),
        ({"/process/apparmorProfile": "x", "/process/user/uid": 1}, True, "pieces of advice"),
    ],
)
def test_sum(changes: dict[str, Any], strict: bool, words: str) -> None:
    report = examine(json.dumps(spoil(changes)).encode(), "x", strict=strict)
    assert words in report_formats.text(report).splitlines()[-1]


def test_json() -> None:
    found = json.loads(report_formats.as_json(examine(TEXT.replace(b"\x1b", b"!"), "c.json")))
    assert found["file"] == "c.json" and found["valid"] is False
    assert found["problems"][0] == {
        "severity": "error",
        "code": "schema-type",
        "pointer": "/process/terminal",
        "line": 4,
        "column": 55,
        "message": '"yes![31m" is not true or false',
        "expected": "true or false",
        "hint": "",
    }
    clean = json.loads(report_formats.as_json(examine(json.dumps(BASE).encode(), "x")))
    assert clean == {"file": "x", "valid": True, "problems": []}


def test_github() -> None:
    report = examine(json.dumps(spoil({"/process/cwd": "100%\n::x"})).encode(), "a,b:c.json")
    (row,) = report_formats.github(report).splitlines()
    assert row.startswith("::error file=a%2Cb%3Ac.json,line=1,col=")
    assert ',title=process-cwd::/process/cwd: cwd "100%25%0A::x" is not an absolute path; expected' in row
    assert report_formats.github(examine(b"\xff\xfe", "x")).startswith("::error file=x,title=json-encoding::")


def test_halves_of_characters_can_be_written_in_every_form() -> None:
    """They are legal in JSON's escapes, and can be in the name of a file; standard output takes neither."""
    report = examine(b'{"ociVersion": "1.3.0", "process": {"cwd": "\\ud800", "args": ["a"]}}', "\udcff.json")
    assert {finding.problem.code for finding in report.findings} >= {"process-cwd", "json-surrogate"}
    for form in report_formats.FORMATS.values():
        assert form(report).encode()
    assert 'cwd "\\ud800" is not' in report_formats.github(report)


def test_a_name_obeys_no_terminal_sequences() -> None:
    assert report_formats.text(examine(b"", "\x1b[31m.json")).startswith("\\x1b[31m.json:1:1: ")


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("c.json", "c.json"),
        ("a b/c:d/100%.json", "a%20b/c%3Ad/100%25.json"),
        ("/b/\udcff.json", "file:///b/%FF.json"),
        ("standard input", "standard%20input"),
    ],
)
def test_names_are_uris_in_sarif(name: str, uri: str) -> None:
    (result, *_) = json.loads(report_formats.sarif(examine(b"", name)))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"] == {"uri": uri}


def test_sarif() -> None:
    report = examine(json.dumps(spoil({"/process/cwd": "x", "/mount": 1})).encode(), "c.json", strict=True)
    log = json.loads(report_formats.sarif(report))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == sorted(set(rules))
    assert len(run["results"]) == len(report.findings)
    levels = {result["ruleId"]: result["level"] for result in run["results"]}
    assert (levels["process-cwd"], levels["property-unknown"], levels["no-lsm"]) == (
        "error",
        "warning",
        "note",
    )
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"] and result["message"]["text"]
        location = result["locations"][0]["physicalLocation"]
        assert location["artifactLocation"]["uri"] == "c.json" and location["region"]["startLine"] == 1
    assert (
        "region"
        not in json.loads(report_formats.sarif(examine(b"\xff\xfe", "x")))["runs"][0]["results"][0][
            "locations"
        ][0]["physicalLocation"]
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "rootfs/bin").mkdir(parents=True)
    (tmp_path / "rootfs/bin/sh").write_bytes(b"\x7fELF")
    (tmp_path / "rootfs/bin/sh").chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps(BASE))
    return tmp_path


def test_validate(bundle: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert validate(str(bundle), kind="config", fmt="text", strict=False) == 0
    assert capfd.readouterr().out == f"{bundle}/config.json: no problems\n"
    assert validate(str(bundle / "config.json"), kind="config", fmt="json", strict=True) == 0
    assert json.loads(capfd.readouterr().out)["valid"]
    monkeypatch.chdir(bundle)
    assert validate(".", kind="config", fmt="text", strict=False) == 0
    assert capfd.readouterr().out == "config.json: no problems\n"
    (bundle / "rootfs").rename(bundle / "other")
    assert validate("config.json", kind="config", fmt="github", strict=False) == 1
    assert "rootfs-missing" in capfd.readouterr().out
    (bundle / "config.json").rename(bundle / "other.json")
    assert validate("other.json", kind="config", fmt="text", strict=False) == 0, (
        "no bundle, no root filesystem"
    )


def test_validate_standard_input(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"ociVersion": "1.3.0"}')))
    assert validate("-", kind="state", fmt="text", strict=False) == 1
    assert "standard input:1:1: error: /id" in capfd.readouterr().out


def test_validate_without_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it when descriptor 0 is closed
    with pytest.raises(OciError, match="cannot read standard input") as raised:
        validate("-", kind="config", fmt="text", strict=False)
    assert (raised.value.code, raised.value.fields()["errno"]) == ("config-file", "EBADF")


def test_validate_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OciError) as raised:
        validate(str(tmp_path), kind="config", fmt="text", strict=False)
    assert (
        raised.value.code == "config-file" and "config.json: no such file or directory" in raised.value.text()
    )
    with pytest.raises(OciError) as raised:
        validate(str(tmp_path), kind="state", fmt="text", strict=False)
    assert raised.value.code == "config-file"
