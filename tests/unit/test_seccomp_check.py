"""`pyoci seccomp check`: what a profile allows beyond another one, held against what their filters answer."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import random
from pathlib import Path
from typing import Any

import pytest
from harness import bpf
from hypothesis import given, settings
from hypothesis import strategies as st

from pyoci._shim import lib
from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.cli import seccomp_check
from pyoci.cli.parse import Options, command_options
from pyoci.seccomp import check, docker, filters, paths

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="expects the numbers of x86_64")

CONFIGS = Path(__file__).parents[1] / "data/engine-configs"
PODMAN = Path("/usr/share/containers/seccomp.json")
ARCHES = {"SCMP_ARCH_X86_64": bpf.X86_64, "SCMP_ARCH_X86": bpf.I386, "SCMP_ARCH_X32": bpf.X86_64}
TOKENS = {"SCMP_ARCH_X86_64": bpf.X86_64, "SCMP_ARCH_X86": bpf.I386, "SCMP_ARCH_X32": 0x4000003E}
NEW_NAMESPACES = 0x7E020000
NEW_USER = 0x10000000
Profile = Any


def allow(*names: str, action: str = "SCMP_ACT_ALLOW", **more: Any) -> Profile:
    return {"names": list(names), "action": action, **more}


def profile(*rules: Profile, default: str = "SCMP_ACT_ERRNO", **more: Any) -> Profile:
    return {"defaultAction": default, "architectures": list(ARCHES), "syscalls": list(rules), **more}


def masked(value: int, index: int = 0) -> Profile:
    return {"index": index, "op": "SCMP_CMP_MASKED_EQ", "value": value, "valueTwo": 0}


def default() -> Profile:
    return docker.default().seccomp


def compare(content: Profile, base: Profile = None) -> check.Comparison:
    return check.compare(check.Profile(content), check.Profile(base or default()))


def beyond(content: Profile, base: Profile = None) -> dict[str, check.Call]:
    return {call.name: call for call in compare(content, base).beyond}


def run(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    options = Options(["seccomp", "check", *words], {})
    command_options(options, 0)
    status = seccomp_check.run(Context(), options)
    return status, capfd.readouterr().out


def refusal(*words: str) -> OciError:
    options = Options(["seccomp", "check", *words], {})
    with pytest.raises(OciError) as caught:
        command_options(options, 0)
        seccomp_check.run(Context(), options)
    assert caught.value.status == 2
    return caught.value


def test_what_docker_itself_gives_a_container_is_not_beyond_its_default(
    capfd: pytest.CaptureFixture[str],
) -> None:
    status, out = run(capfd, str(CONFIGS / "docker28-run.json"))
    assert (status, out.splitlines()[-1]) == (
        0,
        f"{CONFIGS}/docker28-run.json: nothing beyond docker's default profile (docker {docker.default().version})",
    )


def test_an_older_docker_allowed_more(capfd: pytest.CaptureFixture[str]) -> None:
    status, out = run(capfd, "--format", "json", str(CONFIGS / "docker20-run.json"))
    found = json.loads(out)
    assert (status, found["seccomp"]) == (1, True)
    calls = {call["name"]: call for call in found["beyond"]}
    assert set(calls) == {"io_uring_enter", "io_uring_register", "io_uring_setup", "socket"}
    assert calls["socket"]["like"] == {"allows": "sometimes", "words": "allowed if arg0 != 0x28"}
    assert (calls["socket"]["profile"]["words"], calls["socket"]["example"]) == ("allowed", [40])
    assert "hypervisor" in calls["socket"]["risk"] or "virtual machine" in calls["socket"]["risk"]
    assert calls["io_uring_setup"]["like"]["allows"] == "never"
    assert {"process_vm_readv", "fchmodat2"} <= {call["name"] for call in found["less"]}


@pytest.mark.skipif(not PODMAN.exists(), reason="podman is not installed")
def test_podman_s_default_in_docker_s_form(capfd: pytest.CaptureFixture[str]) -> None:
    status, out = run(capfd, str(PODMAN))
    assert status == 1
    for name in ("keyctl", "mount", "unshare", "clone3", "sigaction"):
        assert name in out
    assert "  clone\n      allowed; docker: allowed if arg0 & 0x7e020000 == 0\n" in out
    assert "reads or changes the memory" in out  # why pidfd_getfd matters
    assert "bpf" not in out  # it has a rule for CAP_SYS_ADMIN, which such a container has not
    assert run(capfd, "--like", str(PODMAN), str(PODMAN))[0] == 0


def test_a_configuration_without_a_profile_allows_everything(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text('{"ociVersion": "1.0.2"}')
    status, out = run(capfd, str(tmp_path))
    assert (status, out.splitlines()[0]) == (
        1,
        f"{tmp_path}/config.json has no seccomp profile: every system call is allowed.",
    )
    assert "kexec_load" in out
    assert "Default action SCMP_ACT_ALLOW" in out


def test_conditions_are_compared_by_what_they_mean() -> None:
    base = profile(allow("clone", args=[masked(NEW_NAMESPACES)]))
    assert not beyond(profile(allow("clone", args=[masked(NEW_NAMESPACES | 0x80)])), base)
    both = profile(
        allow("clone", args=[masked(NEW_NAMESPACES)]), allow("clone", args=[masked(NEW_NAMESPACES | 0x80)])
    )
    assert not beyond(both, base)
    wider = profile(allow("clone", args=[masked(NEW_NAMESPACES & ~NEW_USER)]))
    call = beyond(wider, base)["clone"]
    assert (call.profile, call.base, call.example) == (check.SOMETIMES, check.SOMETIMES, (NEW_USER,))
    less = {call.name: call for call in compare(base, wider).less}
    assert less["clone"].example == (NEW_USER,)


def test_numbers_are_compared_as_numbers() -> None:
    below, at_most, one_more = (
        profile(
            allow("socket", args=[{"index": 0, "op": f"SCMP_CMP_{operator}", "value": value}]),
            architectures=["SCMP_ARCH_X86_64"],
        )
        for operator, value in (("LT", 1 << 33), ("LE", (1 << 33) - 1), ("LE", 1 << 33))
    )
    assert not beyond(below, at_most)
    assert not beyond(at_most, below)
    assert beyond(one_more, below)["socket"].example == (1 << 33,)


def test_a_number_is_cut_where_the_architecture_cuts_it() -> None:
    rule = allow("socket", args=[{"index": 0, "op": "SCMP_CMP_EQ", "value": 1 << 32}])
    found = {call.architectures: call.example for call in compare(profile(rule), profile()).beyond}
    assert found[("SCMP_ARCH_X86_64",)] == (1 << 32,)
    assert found[("SCMP_ARCH_X86", "SCMP_ARCH_X32")] == (0,)


@pytest.mark.parametrize("action", ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"])
def test_a_default_that_lets_pass(action: str) -> None:
    found = compare(profile(allow("bpf", action="SCMP_ACT_ERRNO"), default=action))
    calls = {call.name for call in found.beyond}
    assert found.looser
    assert {"kexec_load", "keyctl", "vm86"} <= calls
    assert "bpf" not in calls
    assert {call.actions for call in found.beyond if call.architectures} == {(action,)}


@pytest.mark.parametrize("action", ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO"])
def test_another_way_to_deny_is_not_looser(action: str) -> None:
    found = compare({**default(), "defaultAction": action, "defaultErrnoRet": 0} if action == "SCMP_ACT_ERRNO" else
                    {**{k: v for k, v in default().items() if k != "defaultErrnoRet"}, "defaultAction": action})  # fmt: skip
    assert (found.beyond, found.less, found.looser) == ([], [], False)


def test_what_an_agent_decides_counts_as_allowed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rules = [*default()["syscalls"], allow("mount", action="SCMP_ACT_NOTIFY")]
    file = tmp_path / "profile.json"
    file.write_text(json.dumps({**default(), "syscalls": rules, "listenerPath": "/run/agent"}))
    status, out = run(capfd, str(file))
    assert (status, "  mount\n      allowed by an agent; docker: denied\n" in out) == (1, True)


def test_architectures_and_flags(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "profile.json"
    names = ["SCMP_ARCH_X86_64", "SCMP_ARCH_RISCV64"]
    file.write_text(json.dumps({**default(), "architectures": names, "flags": []}))
    status, out = run(capfd, str(file))
    assert status == 0
    assert "Architecture SCMP_ARCH_X86: without rules: a process of this kind is killed" in out
    assert "Architecture SCMP_ARCH_RISCV64: not compared" in out
    assert "Flags: none; docker: SECCOMP_FILTER_FLAG_SPEC_ALLOW." in out
    found = compare({**default(), "architectures": names})
    assert (found.added, found.missing, found.less) == ([], ["SCMP_ARCH_X86", "SCMP_ARCH_X32"], [])
    narrow = {**default(), "architectures": ["SCMP_ARCH_X86_64"]}
    wide = compare(default(), narrow)
    assert wide.added == ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    assert {"read", "socketcall"} <= {call.name for call in wide.beyond}


def test_a_name_that_libseccomp_does_not_know_is_no_promise(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rules = [*default()["syscalls"], allow("call_of_the_future")]
    assert beyond({**default(), "syscalls": rules})["call_of_the_future"].architectures == ()
    assert not beyond({**default(), "syscalls": rules}, {**default(), "syscalls": rules})
    file = tmp_path / "profile.json"
    file.write_text(json.dumps({**default(), "syscalls": rules}))
    status, out = run(capfd, str(file))
    assert (status, "libseccomp does not know" in out) == (1, True)


def test_more_conditions_than_can_be_compared_are_no_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    equal = [{"index": 0, "op": "SCMP_CMP_EQ", "value": value} for value in range(60)]
    many = profile(allow("read"), allow("personality", args=equal))
    assert not beyond(many, many)
    monkeypatch.setattr(paths, "_EFFORT", 200)
    found = beyond(many, many)
    assert (set(found), found["personality"].actions) == ({"personality"}, ())
    status, out = run(capfd, write(tmp_path / "profile.json", many))
    assert (status, "  personality\n      more conditions than can be compared\n" in out) == (1, True)


CONDITION: Any = st.fixed_dictionaries(
    {
        "index": st.integers(0, 2),
        "op": st.sampled_from(
            [f"SCMP_CMP_{name}" for name in ("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ")]
        ),
        "value": st.sampled_from([0, 1, 5, 0x28, 0xF0, 0x7E020000, (1 << 32) - 1, 1 << 32, (1 << 64) - 1]),
        "valueTwo": st.sampled_from([0, 0x20, 0x10000000]),
    }
)
RULE: Any = st.fixed_dictionaries(
    {
        "names": st.lists(st.sampled_from(["socket", "clone", "personality"]), min_size=1, max_size=2),
        "action": st.sampled_from(["SCMP_ACT_ALLOW", "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG"]),
        "args": st.lists(CONDITION, max_size=3),
    }
)
PROFILE: Any = st.fixed_dictionaries(
    {
        "defaultAction": st.sampled_from(["SCMP_ACT_ERRNO", "SCMP_ACT_ERRNO", "SCMP_ACT_ALLOW"]),
        "architectures": st.just(list(ARCHES)),
        "syscalls": st.lists(RULE, min_size=1, max_size=4),
    }
)


def judge_of(content: Profile) -> tuple[bytes, bpf.Filter]:
    program = filters.program(content, keep=False)[0]
    return program, bpf.Filter(program)


def lets_pass(value: int) -> bool:
    return value & ~0xFFFF in (bpf.ALLOW, bpf.LOG, bpf.TRACE)


def samples(*profiles: Profile) -> list[list[int]]:
    """Arguments near all numbers of the profiles, and some others."""
    numbers = {0, (1 << 64) - 1}
    for each in profiles:
        for rule in each["syscalls"]:
            for arg in rule["args"]:
                value = arg["value"] & arg["valueTwo"] if arg["op"].endswith("MASKED_EQ") else arg["value"]
                numbers |= {value - 1, value, value + 1, arg["valueTwo"]}
    near = sorted(number for number in numbers if 0 <= number < 1 << 64)
    chance = random.Random(repr(profiles))
    return [[chance.choice(near) for _ in range(3)] for _ in range(60)]


@settings(max_examples=30, deadline=None)
@given(PROFILE, PROFILE)
def test_the_answer_is_that_of_the_filters(content: Profile, base: Profile) -> None:
    try:
        (program, mine), (_, theirs) = judge_of(content), judge_of(base)
    except OciError:  # libseccomp refuses some rules that contradict each other
        return
    both = check.Profile(content), check.Profile(base)
    tries = samples(content, base)
    for name in ("socket", "clone", "personality"):
        for arch, token in ARCHES.items():
            number = lib.pyoci_seccomp_number(TOKENS[arch], name.encode())
            calls = check.excess(name, arch, (number, token), *both)
            for call in calls:
                assert lets_pass(mine(number, call.example, token))
                assert not lets_pass(theirs(number, call.example, token))
            answers = {value for _, value in paths.paths(program, number, token, paths.Effort())}
            for args in tries:
                answer = mine(number, args, token)
                assert answer in answers
                beyond = lets_pass(answer) and not lets_pass(theirs(number, args, token))
                assert calls or not beyond, (name, arch, args)


@given(
    st.lists(
        st.builds(
            paths.Test,
            st.sampled_from([0, 0xF, 0xF0F0, 0xFFFFFFFF, 0x80000001]),
            st.integers(0, 40),
            st.integers(0, (1 << 32) - 1),
            st.booleans(),
        ),
        max_size=4,
    )
)
def test_the_least_word_that_passes_tests(tests: list[paths.Test]) -> None:
    def passes(word: int) -> bool:
        return all((test.low <= word & test.mask <= test.high) == test.inside for test in tests)

    candidates = [*range(64), *(1 << bit for bit in range(32)), 0xFFFFFFFF]
    candidates += [
        number for test in tests for number in (test.high, test.low | test.high & ~test.mask, test.high + 1)
    ]
    found = paths.solve(tuple(tests))
    assert found is None or passes(found)
    assert not any(passes(word) for word in candidates if found is None or word < found)


class Program(ctypes.Structure):
    """struct sock_fprog"""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def test_the_kernel_says_the_same() -> None:
    """A process under the filter makes harmless system calls; those that it is refused are those that `check` calls denied."""
    rules = [
        allow("getpgrp", action="SCMP_ACT_ERRNO", errnoRet=errno.EXDEV),
        allow("getpriority", action="SCMP_ACT_ERRNO", errnoRet=errno.EXDEV, args=[
            {"index": 1, "op": "SCMP_CMP_GT", "value": 0}]),
    ]  # fmt: skip
    content = profile(*rules, default="SCMP_ACT_ALLOW")
    calls = [("getpgrp", []), ("getpriority", [0, 0]), ("getpriority", [0, 1 << 32]), ("getuid", [])]
    base = profile()  # denies all
    allowed = beyond(content, base)
    whens = [allowed[name].profile if name in allowed else check.NEVER for name, _ in calls]
    assert whens == [check.NEVER, check.SOMETIMES, check.SOMETIMES, check.ALWAYS]
    program = filters.program(content, keep=False)[0]
    numbers = [lib.pyoci_seccomp_number(bpf.X86_64, name.encode()) for name, _ in calls]
    child = os.fork()
    if not child:
        libc = ctypes.CDLL(None, use_errno=True)
        buffer = ctypes.create_string_buffer(program, len(program))
        loaded = Program(len(program) // 8, ctypes.cast(buffer, ctypes.c_void_p))
        status = 100
        if not libc.prctl(38, 1, 0, 0, 0) and not libc.prctl(22, 2, ctypes.byref(loaded), 0, 0):
            status = 0
            for at, (_, args) in enumerate(calls):
                result = libc.syscall(ctypes.c_long(numbers[at]), *[ctypes.c_ulong(arg) for arg in args])
                status |= (result == -1 and ctypes.get_errno() == errno.EXDEV) << at
        os._exit(status)
    refused = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert refused == 0b0101
    answers = [compare_call(content, name, args) for name, args in calls]
    assert answers == [not refused >> at & 1 for at in range(len(calls))]


def compare_call(content: Profile, name: str, args: list[int]) -> bool:
    """Whether a call with these arguments is beyond a profile that allows all but just these."""
    conditions = [{"index": at, "op": "SCMP_CMP_EQ", "value": value} for at, value in enumerate(args)]
    base = profile(allow(name, action="SCMP_ACT_ERRNO", args=conditions), default="SCMP_ACT_ALLOW")
    found = beyond(content, base)
    return name in found and "SCMP_ARCH_X86_64" in found[name].architectures


def write(path: Path, content: Any) -> str:
    path.write_text(json.dumps(content, indent=1))
    return str(path)


def test_a_wrong_profile_is_refused_with_its_place(tmp_path: Path) -> None:
    wrong = profile(allow("read", action="SCMP_ACT_PERMIT"))
    file = write(tmp_path / "profile.json", wrong)
    error = refusal(file)
    line = (tmp_path / "profile.json").read_text().split("SCMP_ACT_PERMIT")[0].count("\n") + 1
    assert (error.pointer, f"{file}:{line}:" in error.message) == ("/syscalls/0/action", True)
    inside = write(tmp_path / "config.json", {"ociVersion": "1.0.2", "linux": {"seccomp": wrong}})
    error = refusal(inside)
    assert error.pointer == "/linux/seccomp/syscalls/0/action"
    kernel_s = profile(allow("read"), architectures=["SCMP_ARCH_PPC64"])
    assert refusal(write(tmp_path / "other.json", kernel_s)).pointer == "/architectures/0"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"includes": {"capz": ["CAP_SYS_ADMIN"]}}, "/syscalls/0/includes/capz"),
        ({"includes": {"caps": ["CAP_SYSADMIN"]}}, "/syscalls/0/includes/caps/0"),
        ({"excludes": {"arches": "amd64"}}, "/syscalls/0/excludes/arches"),
        ({"includes": {"minKernel": 5}}, "/syscalls/0/includes/minKernel"),
        ({"includes": ["CAP_SYS_ADMIN"]}, "/syscalls/0/includes"),
        ({"name": "write"}, "/syscalls/0/name"),
        ({"action": "SCMP_ACT_ERRNO", "errno": "EWHAT"}, "/syscalls/0/errno"),
        ({"action": "ALLOW"}, "/syscalls/0/action"),
    ],
)
def test_a_wrong_profile_in_docker_s_form_is_refused(
    tmp_path: Path, change: dict[str, Any], pointer: str
) -> None:
    rule = {"names": ["read"], "action": "SCMP_ACT_ALLOW", **change}
    content = {"defaultAction": "SCMP_ACT_ERRNO", "archMap": [], "syscalls": [rule]}
    error = refusal(write(tmp_path / "profile.json", content))
    assert error.pointer == pointer


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        ({"archMap": [{"subArchitectures": []}]}, "/archMap/0"),
        ({"archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": "SCMP_ARCH_X86"}]},
         "/archMap/0/subArchitectures"),
        ({"archMap": [{"architecture": "SCMP_ARCH_X86_64"}], "architectures": ["SCMP_ARCH_X86"]}, "/archMap"),
        ({"defaultErrno": "EWHAT"}, "/defaultErrno"),
        ({"defaultErrno": "errorcode"}, "/defaultErrno"),
    ],
)  # fmt: skip
def test_so_is_its_head(tmp_path: Path, content: dict[str, Any], pointer: str) -> None:
    error = refusal(write(tmp_path / "profile.json", {"defaultAction": "SCMP_ACT_ERRNO", **content}))
    assert (error.code, error.pointer) == ("seccomp-profile", pointer)


def test_what_is_no_profile(tmp_path: Path) -> None:
    assert refusal(write(tmp_path / "a.json", {"name": "x"})).code == "seccomp-profile"
    assert refusal(write(tmp_path / "b.json", [])).code == "seccomp-profile"
    (tmp_path / "c.json").write_text("{")
    assert refusal(str(tmp_path / "c.json")).code == "json-syntax"
    assert refusal(str(tmp_path / "d.json")).code == "config-file"
    assert refusal().code == "usage"
    good = write(tmp_path / "e.json", profile(allow("read")))
    assert refusal("--like", str(tmp_path / "b.json"), good).code == "seccomp-profile"


def test_conditions_of_docker_s_form() -> None:
    admin, kernel = {"caps": ["CAP_SYS_ADMIN"]}, {"minKernel": "4.8"}
    rules = [
        allow("mount", includes=admin),
        allow("chroot", includes={"caps": ["CAP_SYS_CHROOT"]}),
        allow("bpf", excludes=admin),
        allow("ptrace", includes=kernel),
        allow("kcmp", excludes=kernel),
        allow("arch_prctl", includes={"arches": ["amd64"]}),
        allow("set_tls", includes={"arches": ["arm64"]}),
        {"name": "read", "action": "SCMP_ACT_ALLOW", "args": None, "comment": "x", "includes": {}},
    ]
    content: dict[str, object] = {"defaultAction": "SCMP_ACT_ERRNO", "archMap": [
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
    ], "syscalls": rules}  # fmt: skip
    resolved: Any = docker.resolve(content, ["CAP_SYS_CHROOT"])
    assert [rule["names"][0] for rule in resolved["syscalls"]] == [
        "chroot",
        "bpf",
        "ptrace",
        "arch_prctl",
        "read",
    ]
    assert resolved["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert resolved["syscalls"][-1] == {"names": ["read"], "action": "SCMP_ACT_ALLOW"}
    with_admin: Any = docker.resolve(content, ["CAP_SYS_ADMIN"])
    assert [rule["names"][0] for rule in with_admin["syscalls"]] == ["mount", "ptrace", "arch_prctl", "read"]


def test_docker_s_profile_is_resolved_as_docker_does_it() -> None:
    """The engine's own result, but for the order of the names: they are compared as sets."""
    given = json.loads((CONFIGS / "docker28-run.json").read_text())["linux"]["seccomp"]

    def plain(seccomp: Profile) -> list[Any]:
        return [
            (sorted(rule["names"]), rule["action"], rule.get("errnoRet"), rule.get("args"))
            for rule in seccomp["syscalls"]
        ]

    assert plain(default()) == plain(given)
    assert {name: default().get(name) for name in given if name != "syscalls"} == {
        name: value for name, value in given.items() if name != "syscalls"
    }
