"""The thorough side: all problems with their places, also behind broken parts; the error a bundle is refused with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from unit.check_cases import BASE, BIND, GONE, USERS, codes, spoil

from pyoci.spec import check
from pyoci.spec.problem import Problem
from pyoci.validate import explain, repair, schema, warnings
from pyoci.validate.bundle_files import missing_files

CONFIGS = sorted((Path(__file__).resolve().parents[1] / "data" / "engine-configs").glob("*.json"))
STATE = {"ociVersion": "1.3.0", "id": "box", "status": "running", "pid": 5, "bundle": "/b"}
FEATURES = {"ociVersionMin": "1.0.0", "ociVersionMax": "1.3.0"}


def examine(value: Any, **options: Any) -> list[tuple[str, str, str]]:
    data = value if isinstance(value, bytes) else json.dumps(value, indent=1).encode()
    report = explain.examine(data, "config.json", **options)
    return [
        (finding.problem.severity, finding.problem.code, finding.problem.pointer)
        for finding in report.findings
    ]


def errors(value: Any, **options: Any) -> list[tuple[str, str]]:
    return [(code, at) for severity, code, at in examine(value, **options) if severity == "error"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_engine_configs_have_no_errors(path: Path) -> None:
    report = explain.examine(path.read_bytes(), path.name)
    assert report.count("error") == 0
    assert not [finding for finding in report.findings if finding.problem.code == "property-unknown"]


@pytest.mark.parametrize(
    ("code", "at", "changes"),
    [
        ("schema-type", "/process/terminal", {"/process/terminal": "true"}),
        ("schema-type", "/process", {"/process": []}),
        ("schema-required", "/process/cwd", {"/process": {"args": ["sh"]}}),
        ("schema-enum", "/linux/namespaces/0/type", {"/linux/namespaces/0/type": "netwrk"}),
        ("schema-range", "/process/user/uid", {"/process/user/uid": -1}),
        (
            "schema-pattern",
            "/process/rlimits/0/type",
            {"/process/rlimits": [{"type": "x", "soft": 1, "hard": 1}]},
        ),
        ("schema-pattern", "/linux/intelRdt/memBwSchema", {"/linux/intelRdt/memBwSchema": "MB:0\n"}),
        ("schema-items", "/linux/seccomp/syscalls/0/names", {"/linux/seccomp/syscalls/0/names": []}),
        ("schema-required", "/ociVersion", {"/ociVersion": None}),
    ],
)
def test_schema(code: str, at: str, changes: dict[str, Any]) -> None:
    assert (code, at) in errors(spoil(changes))


@pytest.mark.parametrize(
    ("at", "value", "hint"),
    [
        # numbers
        ("/process/user/uid", "0", "write 0 without quotes"),
        ("/process/user/uid", "nobody", "ids are numbers; names are not looked up"),
        ("/process/user/umask", "0022", "a mode in decimal: 18"),
        ("/linux/devices", [{"path": "/x", "type": "p", "fileMode": "0o644"}], "a mode in decimal: 420"),
        ("/linux/devices", [{"path": "/x", "type": "p", "fileMode": "0666"}], "a mode in decimal: 438"),
        ("/process/user/uid", 5.0, "write 5"),
        ("/linux/resources/pids/limit", "007", ""),
        ("/linux/resources/memory/limit", "512m", "write it as a number: 536870912"),
        ("/linux/resources/memory/limit", "1.5 GiB", "write it as a number: 1610612736"),
        ("/linux/resources/memory/limit", "max", "for no limit write -1"),
        ("/linux/resources/memory/limit", "much", ""),
        ("/hooks/poststop", [{"path": "/x", "timeout": "5s"}], "in seconds: 5"),
        (
            "/process/rlimits",
            [{"type": "RLIMIT_CORE", "soft": 1, "hard": "unlimited"}],
            "for no limit write 18446744073709551615",
        ),
        (
            "/process/rlimits",
            [{"type": "RLIMIT_CORE", "soft": 1, "hard": -1}],
            "for no limit write 18446744073709551615",
        ),
        # true and false
        ("/process/terminal", "true", "write true"),
        ("/process/terminal", "Yes", "write true"),
        ("/process/terminal", 0, "write false"),
        ("/process/terminal", "maybe", ""),
        # lists
        ("/process/args", "sh", 'write ["sh"]'),
        ("/process/args", "sh -c 'echo hi'", 'write ["sh", "-c", "echo hi"]'),
        ("/process/args", "it's", 'write ["it\'s"]'),
        ("/process/args", {}, ""),
        ("/process/env", {"A": "b", "C": 1}, 'write ["A=b", "C=1"]'),
        ("/mounts/0/options", "rbind,ro", 'write ["rbind", "ro"]'),
        ("/linux/maskedPaths", "/proc/kcore", 'write ["/proc/kcore"]'),
        ("/hooks/poststop", {"path": "/x"}, "write it as a list of one: [{...}]"),
        ("/linux/namespaces", "pid", 'write [{"type": "pid"}]'),
        # objects
        ("/process/user", "nobody", 'write {"uid": 1000, "gid": 1000}: numbers; names are not looked up'),
        (
            "/process/capabilities",
            ["CAP_KILL"],
            'write a list for each set: {"bounding": [...], "effective": [...], "permitted": [...]}',
        ),
        ("/linux/namespaces/0", "net", 'write {"type": "network"}'),
        (
            "/mounts/0",
            "/a:/b:ro",
            'write {"destination": "/b", "type": "bind", "source": "/a", "options": ["rbind", "ro"]}',
        ),
        ("/linux/uidMappings", ["0:1000:1"], 'write {"containerID": 0, "hostID": 1000, "size": 1}'),
        ("/process", [], 'write {"args": ["sh"], "cwd": "/"}'),
        # texts
        ("/hostname", 5, 'write "5" with quotes'),
        ("/annotations/x", True, 'write "true" with quotes'),
        ("/annotations/x", {"y": 1}, "all values here are strings"),
        ("/linux/resources/cpu/cpus", [0, 1], 'write "0,1"'),
        ("/ociVersion", 1.0, 'write "1.3.0"'),
        # words
        ("/linux/seccomp/defaultAction", "ALLOW", 'did you mean "SCMP_ACT_ALLOW"?'),
        ("/linux/seccomp/defaultAction", "SCMP_ACT_ALOW", 'did you mean "SCMP_ACT_ALLOW"?'),
        ("/linux/seccomp/architectures", ["amd64"], 'did you mean "SCMP_ARCH_X86_64"?'),
        ("/linux/seccomp/architectures", ["x86_64"], 'did you mean "SCMP_ARCH_X86_64"?'),
        ("/linux/namespaces/0/type", "net", 'did you mean "network"?'),
        ("/linux/namespaces/0/type", "mnt", 'did you mean "mount"?'),
        ("/linux/namespaces/0/type", "PID", 'did you mean "pid"?'),
        (
            "/process/rlimits",
            [{"type": "nofile", "soft": 1, "hard": 1}],
            'did you mean "RLIMIT_NOFILE"?',
        ),
        ("/linux/resources/hugepageLimits", [{"pageSize": "2M", "limit": 1}], 'write "2MB"'),
        # what is missing
        (
            "/linux/uidMappings",
            [{"ContainerID": 0, "hostID": 0, "size": 1}],
            'write {"containerID": 0, "hostID": 100000, "size": 65536}',
        ),
        ("/ociVersion", GONE, 'write "ociVersion": "1.3.0"'),
    ],
)
def test_hints(at: str, value: Any, hint: str) -> None:
    assert schema.problems(spoil({at: value}), "config")[0].hint == hint


LONG = "x " * 1_000_000


@pytest.mark.parametrize(
    "at", ["/process/args", "/process/terminal", "/process/user/uid", "/linux/namespaces/0/type"]
)
def test_no_hint_is_looked_for_in_megabytes(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("validate.hints.shlex.split", "base.suggest.edits", "validate.hints.re.fullmatch"):
        monkeypatch.setattr(f"pyoci.{name}", None)
    (problem,) = schema.problems(spoil({at: LONG}), "config")
    assert problem.hint == "" and len(problem.message) < 100


@pytest.mark.parametrize(
    ("member", "hint"),
    [
        ("/mount", 'did you mean "mounts"?'),
        ("/volumes", 'did you mean "mounts"?'),
        ("/os", ""),
        ("/namespaces", "it belongs at /linux/namespaces"),
        ("/rlimits", "it belongs at /process/rlimits"),
        ("/cmd", "it belongs at /process/args"),
        ("/process/cmd", 'did you mean "args"?'),
        ("/process/argz", 'did you mean "args"?'),
        ("/mounts/0/target", 'did you mean "destination"?'),
        ("/linux/resources/mem_limit", "it belongs at /linux/resources/memory/limit"),
        ("/linux/resources/cpus", "it belongs at /linux/resources/cpu/quota"),
        ("/linux/resources/memory/swapiness", 'did you mean "swappiness"?'),
        ("/process/Args", 'did you mean "args"?'),
        ("/mounts/0/dest", 'did you mean "destination"?'),
        ("/linux/resources/blockIO/weightDevices", 'did you mean "weightDevice"?'),
        ("/linux/resources/blockIO/throttleReadBpsDevice", None),
        ("/annotations/anything", None),
        ("/linux/sysctl/net.x", None),
    ],
)
def test_unknown_members(member: str, hint: str | None) -> None:
    found = schema.unknown(spoil({member: []}), "config")
    assert [(problem.pointer, problem.hint) for problem in found] == (
        [(member, hint)] if hint is not None else []
    )


def test_a_member_in_the_wrong_place_must_be_of_its_type() -> None:
    assert [found.hint for found in schema.unknown(spoil({"/resources": {}}), "config")] == [
        "it belongs at /linux/resources"
    ]
    assert [found.hint for found in schema.unknown(spoil({"/resources": "many"}), "config")] == [""]


def test_advice_on_a_set_of_capabilities_that_nobody_knows() -> None:
    assert errors(spoil({"/process/capabilities": {"other": [["CAP_KILL"]]}}), strict=True) == []


def test_the_configuration_of_an_image() -> None:
    image = {"os": "linux", "config": {"Cmd": ["sh"]}, "rootfs": {"type": "layers"}}
    assert "configuration of an image" in schema.problems(image, "config")[0].hint


def test_unknown_members_inside_of_combined_schemas() -> None:
    devices = [{"major": 1, "minor": 2, "rat": 5}]
    found = schema.unknown(spoil({"/linux/resources/blockIO/throttleReadBpsDevice": devices}), "config")
    assert [problem.hint for problem in found] == ['did you mean "rate"?']
    found = schema.unknown(
        spoil({"/linux/netDevices": {"eth0": {"nam": 1}}, "/linux/namespaces/0/pth": 1}), "config"
    )
    assert [problem.pointer for problem in found] == ["/linux/namespaces/0/pth", "/linux/netDevices/eth0/nam"]


def test_unknown_members_are_advice_unless_they_look_like_slips() -> None:
    spec = spoil({"/x": 1, "/mount": []})
    assert examine(spec) == [("warning", "property-unknown", "/mount")]
    strict = [found for found in examine(spec, strict=True) if found[1] == "property-unknown"]
    assert strict == [("advice", "property-unknown", "/x"), ("warning", "property-unknown", "/mount")]


def test_rules_look_behind_broken_parts() -> None:
    """One broken thing does not hide another; what follows from it is not told."""
    spec = spoil(
        {
            "/process/args": "sh",
            "/process/env/-": "NAME",
            "/mounts/0": {"type": "proc"},
            "/mounts/-": {"destination": "/x"},
            "/linux/seccomp/syscalls/0/action": "ALLOW",
            "/linux/seccomp/syscalls/-": {"names": ["x"], "action": "SCMP_ACT_NOTIFY"},
        }
    )
    assert sorted(errors(spec)) == [
        ("env-form", "/process/env/1"),
        ("mount-type", "/mounts/1"),
        ("schema-enum", "/linux/seccomp/syscalls/0/action"),
        ("schema-required", "/mounts/0/destination"),
        ("schema-type", "/process/args"),
        ("seccomp-listener", "/linux/seccomp/syscalls/1/action"),
    ]


def test_a_broken_namespace_is_not_called_missing() -> None:
    assert errors(spoil({"/linux/namespaces/4/type": "utc"})) == [("schema-enum", "/linux/namespaces/4/type")]


def test_the_whole_document_may_be_broken() -> None:
    assert errors([]) == errors(5) == errors("x") == [("schema-type", "")]
    assert errors({}) == [
        ("schema-required", "/ociVersion"),
        ("root-missing", "/root"),
    ]
    assert errors({"id": 5}, kind="state")[0] == ("schema-required", "/ociVersion")


@pytest.mark.parametrize("name", ["windows", "solaris", "vm", "zos", "freebsd"])
def test_a_document_for_another_platform(name: str) -> None:
    """It is judged by its schema alone: what is a fault on Linux need not be one there."""
    sections: dict[str, dict[str, Any]] = {
        "windows": {"layerFolders": ["C:\\layer"]},
        "vm": {"kernel": {"path": "/kernel"}},
    }
    section = sections.get(name, {})
    spec = spoil({"/linux": GONE, "/root": GONE, "/process/cwd": "C:\\", f"/{name}": section})
    assert examine(spec) == [("warning", "wrong-platform", f"/{name}")]
    both = spoil({f"/{name}": section})
    assert examine(both) == [("warning", "platform-section", f"/{name}")]
    assert examine({**spec, "ociVersion": "x"})[0][:2] == ("error", "version-format")
    assert errors({**spec, "hostname": "x", "windows": 5}) == [("schema-type", "/windows")]
    broken = examine({**spec, "hostname": 5})
    assert ("error", "schema-type", "/hostname") in broken and len(broken) == 2


@pytest.mark.parametrize("missing", [["uidMappings"], ["uidMappings", "gidMappings"]])
def test_the_missing_mappings_are_written_out(missing: list[str]) -> None:
    """The hint is what to copy into the file."""
    spec = spoil(USERS)
    for name in missing:
        del spec["linux"][name]
    problem = explain.config_problems(spec)[0]
    assert problem.code == "mapping-missing"
    added = json.loads("{" + problem.hint.removeprefix("add ") + "}")
    assert list(added) == missing
    spec["linux"].update(added)
    assert explain.config_problems(spec) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [("Args", "args"), ("noNewPrivilegeS", "noNewPrivileges"), ("ENV", "env"), ("Cwd", "cwd")],
)
def test_a_member_in_another_letter_case(name: str, meant: str) -> None:
    """Programs in Go take it for the known one; the specification has it ignored."""
    spec = spoil({f"/process/{name}": BASE["process"].get(meant)})
    (problem,) = schema.unknown(spec, "config")
    assert (problem.pointer, problem.hint) == (f"/process/{name}", f'did you mean "{meant}"?')


def test_a_device_without_a_driver(tmp_path: Path) -> None:
    (tmp_path / "rootfs").mkdir()
    nodes = [
        {"path": "/dev/x", "type": "c", "major": 4000, "minor": 1},
        {"path": "/dev/y", "type": "c", "major": 1, "minor": 3},
        {"path": "/dev/z", "type": "p"},
        {"path": "/dev/b", "type": "b", "major": 4001, "minor": 3},
        {"path": "/dev/u", "type": "u", "major": 1, "minor": 5},
    ]
    found = missing_files(spoil({"/linux/devices": nodes, "/process/args": []}), str(tmp_path))
    assert [(each.severity, each.code, each.pointer) for each in found] == [
        ("warning", "device-driver", "/linux/devices/0/major"),
        ("warning", "device-driver", "/linux/devices/3/major"),
    ]
    assert check.problems(spoil({"/linux/devices": nodes}), first=False) == []


def test_nulls_are_warned_of() -> None:
    spec = spoil({"/process/terminal": None, "/mounts/0/options": None})
    assert examine(spec) == [
        ("warning", "null-member", "/process/terminal"),
        ("warning", "null-member", "/mounts/0/options"),
    ]
    assert examine(spoil({"/x": None})) == []


def test_what_the_quick_checker_accepts_is_not_read_by_jsonschema(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take seconds for a few megabytes without a single problem."""
    asked: list[str] = []

    def problems(value: Any, kind: str) -> list[Problem]:
        asked.append(kind)
        return []

    monkeypatch.setattr(schema, "problems", problems)
    assert errors(BASE) == errors(STATE, kind="state") == errors(FEATURES, kind="features") == []
    assert errors(spoil({"/process/cwd": "work"})) == [("process-cwd", "/process/cwd")]
    assert asked == []


def test_schemas_are_whole() -> None:
    """No reference is left that would have to be looked up for each value."""
    for reference in schema.KINDS.values():
        assert '"$ref"' not in json.dumps(schema.resolved(reference))


def test_places() -> None:
    text = b'{\n  "ociVersion": "1.3.0",\n  "process": {\n    "cwd": "work",\n\t"args": []\n  }\n}\n'
    report = explain.examine(text, "x")
    found = {
        finding.problem.code: (finding.line, finding.column, finding.source) for finding in report.findings
    }
    assert found["process-cwd"] == (4, 12, '    "cwd": "work",')
    assert found["process-args"] == (5, 10, '\t"args": []')
    assert found["root-missing"] == (1, 1, "{")
    assert [finding.line for finding in report.findings] == sorted(
        finding.line for finding in report.findings
    )


def test_long_lines_are_cut_around_the_place() -> None:
    data = json.dumps(spoil({"/process/cwd": "work"})).encode()
    (finding,) = explain.examine(data, "x").findings
    assert finding.line == 1 and len(finding.source) <= explain.WIDTH + 6
    assert finding.source[finding.mark :].startswith('"work"')
    assert finding.source.startswith("...") and finding.source.endswith("...")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "json-syntax"),
        (b'{"ociVersion": "1.3.0",}', "json-syntax"),
        (b"\xff", "json-encoding"),
        (b"\xef\xbb\xbf{}", "json-bom"),
        (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "json-depth"),
        (b'{"x": ' + b"1" * 5000 + b"}", "json-number"),
        (b'{"x": "\\ud800"}', "json-surrogate"),
        (b'{"x": 1, "x": 2}', "json-duplicate"),
    ],
    ids=["empty", "comma", "latin1", "bom", "deep", "number", "surrogate", "twice"],
)
def test_text(data: bytes, code: str) -> None:
    assert code in [found for found, _ in errors(data)]
    assert explain.refusal(data, "config.json").code in (code, "schema-required")


@pytest.mark.parametrize(("kind", "hint"), [("config", "`pyoci spec` makes a config.json"), ("state", "")])
def test_an_empty_file(kind: str, hint: str) -> None:
    (finding,) = explain.examine(b"\n", "x", kind=kind).findings
    assert (finding.problem.message, finding.problem.hint) == ("the file is empty", hint)


def test_refusal() -> None:
    data = json.dumps(spoil({"/process/cwd": "work", "/hostname": 5}), indent=1).encode()
    error = explain.refusal(data, "config.json")
    assert error.text().startswith(
        'config.json:14:10: /process/cwd: cwd "work" is not an absolute path (and 1 more)'
    )
    assert (error.code, error.pointer, error.obj) == ("process-cwd", "/process/cwd", "config.json")
    assert error.hint == 'expected an absolute path; run "pyoci validate" to see all'
    one = explain.refusal(json.dumps(spoil({"/hostname": 5})).encode(), "x")
    assert "more" not in one.text() and "validate" not in one.hint
    process = explain.refusal(b'{"cwd": "/"}', "process.json", kind="process")
    assert process.pointer == "/args"
    systemd = explain.refusal(json.dumps(spoil({"/linux/cgroupsPath": "/x"})).encode(), "x", systemd=True)
    assert systemd.code == "cgroup-path-systemd"


def test_refusal_of_what_is_right() -> None:
    assert "bug" in explain.refusal(json.dumps(BASE).encode(), "x").text()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"ociVersion": "x"}, "version-format"),
        ({"id": ""}, "state-id"),
        ({"bundle": "b"}, "state-bundle"),
        ({"pid": 0}, "state-pid"),
        ({"status": "paused"}, None),
        ({"status": "stopped", "pid": 0}, None),
        ({"status": "dead"}, "schema-enum"),
        ({"annotations": {"": "x"}}, "annotation-empty"),
        ({"extra": 1}, None),
    ],
)
def test_lifecycle_store(changes: dict[str, Any], code: str | None) -> None:
    assert [found for found, _ in errors({**STATE, **changes}, kind="state")] == ([code] if code else [])


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"hooks": ["prestart", "poststop"], "linux": {"cgroup": {"v1": True}, "new": {}}}, None),
        ({"ociVersionMin": "1"}, "version-format"),
        ({"ociVersionMax": "0.9.0"}, "features-versions"),
        ({"hooks": ["prestop"]}, "features-hook"),
        ({"linux": {"capabilities": ["kill"]}}, "schema-pattern"),
    ],
)
def test_features(changes: dict[str, Any], code: str | None) -> None:
    assert [found for found, _ in errors({**FEATURES, **changes}, kind="features")] == (
        [code] if code else []
    )


def test_surroundings(tmp_path: Path) -> None:
    def found(changes: dict[str, Any]) -> list[tuple[str, str]]:
        return [(problem.code, problem.pointer) for problem in missing_files(spoil(changes), str(tmp_path))]

    assert found({}) == [("rootfs-missing", "/root/path")]
    program = tmp_path / "rootfs/bin/sh"
    program.parent.mkdir(parents=True)
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    (tmp_path / "file").write_text("")
    assert found({}) == []
    assert found({"/root/path": str(tmp_path / "rootfs")}) == []
    assert found({"/root/path": "file"}) == [("rootfs-not-directory", "/root/path")]
    at = "/linux/namespaces/2/path"
    assert found({at: "/proc/self/ns/net"}) == []
    assert found({at: "/proc/self/ns/uts"}) == found({at: str(tmp_path / "file")}) == [("namespace-type", at)]
    assert found({at: "/nowhere"}) == [("namespace-missing", at)]
    assert found({"/mounts/-": {**BIND, "source": "/nowhere"}}) == [
        ("mount-source-missing", "/mounts/1/source")
    ]
    assert found({"/mounts/-": {**BIND, "source": "file"}}) == []
    rules = [{"names": ["clone", "clonee", "\ud800"], "action": "SCMP_ACT_ERRNO"}]
    seccomp = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}
    at = "/linux/seccomp/syscalls/0/names"
    assert found({"/linux/seccomp": seccomp}) == [("seccomp-unknown", f"{at}/{place}") for place in (1, 2)]
    assert found({"/linux/seccomp": {**seccomp, "defaultAction": "SCMP_ACT_ERRNO"}}) == []
    hook = {"prestart": [{"path": str(tmp_path / "file")}, {"path": "/bin/sh"}]}
    assert found({"/hooks": hook}) == [("hook-missing", "/hooks/prestart/0/path")]


def test_the_program_in_the_root_filesystem(tmp_path: Path) -> None:
    """As far as links within it, and the mounts, allow to tell."""
    rootfs = tmp_path / "rootfs"
    (rootfs / "usr/bin").mkdir(parents=True)
    (rootfs / "bin").symlink_to("/usr/bin")
    (rootfs / "loop").symlink_to("loop")
    (rootfs / "out").symlink_to("../../../../../../usr/bin/tool")
    elf = bytearray(Path("/proc/self/exe").read_bytes()[:4096])
    for name, content in (
        ("tool", b"\x7fELF"),
        ("script", b"#!/bin/tool -x\n"),
        ("lost", b"#! /bin/gone -x\n"),
        ("nul", b"#!/bin/tool\0x\n"),
        ("windows", b"#!/bin/tool\r\n"),
        ("second", b"#!/bin/lost\n"),
        ("folder", b"#!/usr\n"),
        ("unreadable", b"#!\t/bin/data\n"),
        ("text", b"echo hi\n"),
        ("of text", b"#!/bin/text\n"),
        ("nothing", b"#! \n"),
        ("round", b"#!/bin/round\n"),
        ("of foreign", b"#!/bin/foreign\n"),
        ("host", bytes(elf)),
        ("foreign", bytes(elf[:18]) + (258).to_bytes(2, "little") + bytes(elf[20:])),
    ):
        (rootfs / "usr/bin" / name).write_bytes(content)
        (rootfs / "usr/bin" / name).chmod(0o755)
    (rootfs / "usr/bin/data").write_text("x")
    (rootfs / "usr/bin/data").chmod(0o644)

    def codes_of(
        program: str, env: str = "PATH=/nowhere:/bin", more: dict[str, Any] | None = None
    ) -> list[str]:
        spec = spoil({"/process/args": [program], "/process/env": [env], **(more or {})})
        return [problem.code for problem in missing_files(spec, str(tmp_path))]

    for program in ("tool", "script", "nul", "round", "/bin/tool", "/bin/script", "/out", "bin/tool"):
        assert codes_of(program) == [], program
    for program in ("gone", "/bin/gone", "/loop", "/bin/tool/x", "/etc/passwd"):
        assert codes_of(program) == ["program-missing"], program
    assert codes_of("tool", "PATH=/nowhere") == ["program-missing"]
    assert codes_of("/bin/data") == codes_of("/usr/bin") == ["program-mode"]
    for program in ("folder", "unreadable"):
        assert codes_of(program) == ["program-mode"], program
    for program in ("lost", "second", "windows"):
        assert codes_of(program) == ["program-interpreter"], program
    for program in ("text", "of text", "nothing"):
        assert codes_of(program) == ["program-format"], program
    assert codes_of("foreign") == codes_of("of foreign") == ["program-machine"]
    assert codes_of("host") == ["program-interpreter"]  # which /proc/self/exe is known to name

    def ruled(program: str, *paths: str, **more: Any) -> list[str]:
        rules = [{"path": path, "allow": ["read", "execute"], **more} for path in paths]
        return codes_of(
            program, more={"/annotations": {"org.pyoci.landlock": json.dumps({"abi": 1, "paths": rules})}}
        )

    assert ruled("tool", "/bin") == ruled("/out", "/usr/bin/tool") == ruled("script", "/") == []
    assert ruled("tool", "/bin/script") == ["landlock-program"]
    assert ruled("/out", "/out/x") == ["landlock-path", "landlock-program"]
    assert ruled("script", "/bin/script") == ["landlock-program"]  # which /bin/tool has to run
    assert ruled("tool", "/bin", "/gone") == ["landlock-path"]
    assert ruled("tool", "/bin", "/gone", optional=True) == ruled("tool", "/bin", "/dev/null") == []
    assert ruled("tool", "/bin", allow=["execute"]) == ["landlock-program"]
    # what `create` makes, and the directories above it
    rules = [{"path": path, "allow": ["read", "execute"]} for path in ("/bin", "/made", "/work")]
    made: dict[str, Any] = {
        "/annotations": {"org.pyoci.landlock": json.dumps({"abi": 1, "paths": rules})},
        "/mounts/-": {"destination": "/made/sub", "type": "tmpfs", "source": "tmpfs"},
    }
    assert codes_of("tool", more={**made, "/process/cwd": "/work/a"}) == []
    assert codes_of("tool", more=made) == ["landlock-path"]
    for place in ("/usr", "/usr/bin/gone", "/"):
        mount = {"destination": place, "type": "tmpfs", "source": "tmpfs"}
        assert codes_of("/bin/gone", more={"/mounts/-": mount}) == [], place
    for options, expected in (("noexec", ["program-noexec"]), ("noexec exec", []), ("ro", [])):
        usr = {"destination": "/usr", "type": "bind", "source": "/usr", "options": options.split()}
        assert codes_of("/usr/x", more={"/mounts/-": usr}) == expected, options


@pytest.mark.parametrize("text", ["/a\0b", "/a\ud800"])
def test_what_no_path_can_be_is_for_the_rules(tmp_path: Path, text: str) -> None:
    (tmp_path / "rootfs").mkdir()
    for changes in (
        {"/root/path": text},
        {"/process/args": [text]},
        {"/process/args": ["./x"], "/process/cwd": text},
        {"/process/args": ["x"], "/process/env": [f"PATH={text}"]},
        {"/hooks": {"poststop": [{"path": text}]}},
        {"/mounts/-": {**BIND, "source": text}},
    ):
        codes = {code for code, _ in errors(spoil(changes), bundle=str(tmp_path))}
        assert not codes & {"rootfs-missing", "hook-missing"} and codes, changes


def test_surroundings_are_looked_at_for_bundles_only(tmp_path: Path) -> None:
    assert errors(BASE) == []
    assert errors(BASE, bundle=str(tmp_path)) == [("rootfs-missing", "/root/path")]


def test_repair() -> None:
    value = {"a": [0, 1, 2, 3, {"b": 1, "c": [5, 6]}], "d": 1}
    original = repair.remove(value, {("a", 0), ("a", 2), ("a", 4, "b"), ("a", 4, "c", 0), ("d",)})
    assert value == {"a": [1, 3, {"c": [6]}]}
    assert [original(at) for at in ("", "/a/0", "/a/1", "/a/2/c/0")] == ["", "/a/1", "/a/3", "/a/4/c/1"]
    inner = {"a": [{"b": 1}]}
    repair.remove(inner, {("a", 0), ("a", 0, "b")})
    assert inner == {"a": []}
    assert repair.resolve({"a/b": [1]}, "/a~1b/0/x") == ("a/b", 0)
    assert repair.resolve({}, "/x") is None
    places = repair.Places({("a", 0), ("b/c",)})
    touched = {at: places.touch(at) for at in ("", "/a", "/a/0", "/a/0/x", "/a/1", "/a/01", "/b~1c/d", "/b")}
    assert [at for at, hit in touched.items() if hit] == ["", "/a", "/a/0", "/a/0/x", "/b~1c/d"]


def test_every_code_of_this_side_is_shown_here() -> None:
    """The codes that the examples of the rules leave out."""
    here = Path(__file__).read_text()
    locate = (Path(__file__).parent / "test_validate_positions.py").read_text()
    rest = {
        code for code in codes() if code.startswith(("schema-", "json-", "state-", "features-", "rootfs-"))
    }
    rest |= {
        "namespace-missing",
        "namespace-type",
        "mount-source-missing",
        "hook-missing",
        "null-member",
        "rootfs-noexec",
    }
    rest |= {"seccomp-unknown", "device-driver"}
    assert {code for code in rest if f'"{code}"' not in here + locate} == set()
    assert USERS


def test_options_of_a_tmpfs_with_commas_between_them() -> None:
    options = ["noswap,size=5m", "ro,mode=755", "sized=5m,mode=1"]
    mount = {"destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": options}
    found = [(each.code, each.pointer, each.hint) for each in warnings.find(spoil({"/mounts/-": mount}))]
    assert found == [("mount-option", "/mounts/1/options/2", 'did you mean "size"?')]


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({"/linux/namespaces/0": GONE}, True),
        ({"/linux/namespaces": []}, True),
        ({"/linux": GONE}, True),
        ({"/linux": GONE, "/mounts": []}, False),
        ({}, False),
    ],
)
def test_mounts_without_a_mount_namespace_are_warned_of(changes: dict[str, Any], warned: bool) -> None:
    found = [problem.code for problem in warnings.find(spoil(changes))]
    assert ("mount-namespace-host" in found) == warned
