"""Seccomp profiles: what the compiled filters say, how wrong profiles are refused, and the cache."""

from __future__ import annotations

import errno
import json
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from harness import bpf

from pyoci._shim import ffi, lib
from pyoci.base.errors import OciError
from pyoci.base.log import Log
from pyoci.seccomp import compiler, explain, filters, record, supervisor, verdict
from pyoci.seccomp.bpf import instructions
from pyoci.spec.seccomp_words import ACTIONS

if TYPE_CHECKING:
    from pyoci.spec.spec_types import Spec

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="expects the numbers of x86_64")

EPERM = bpf.ERRNO | errno.EPERM
ENOSYS = bpf.ERRNO | errno.ENOSYS
READ, WRITE, CLONE3, SOCKET = 0, 1, 435, 41
LAST = 1000  # above every system call of today
DATA = Path(__file__).parents[1] / "data/engine-configs"
Profile = Any


def profile(*rules: Profile, default: str = "SCMP_ACT_ERRNO", **more: Any) -> Profile:
    return {"defaultAction": default, "syscalls": list(rules), **more}


def allow(*names: str, action: str = "SCMP_ACT_ALLOW", **more: Any) -> Profile:
    return {"names": list(names), "action": action, **more}


def compiled(content: Profile) -> bpf.Filter:
    return bpf.Filter(compiler.compile_profile(content, "/linux/seccomp")[0])


def refusal(content: Profile) -> OciError:
    with pytest.raises(OciError) as caught:
        compiler.compile_profile(content, "/linux/seccomp")
    assert caught.value.code == "seccomp"
    return caught.value


def test_allow_list() -> None:
    judge = compiled(profile(allow("read", "clone3")))
    assert judge(READ) == bpf.ALLOW
    assert judge(CLONE3) == bpf.ALLOW
    assert judge(WRITE) == EPERM


@pytest.mark.parametrize(
    ("action", "more", "expected"),
    [
        ("SCMP_ACT_KILL", {}, bpf.KILL_THREAD),
        ("SCMP_ACT_KILL_THREAD", {}, bpf.KILL_THREAD),
        ("SCMP_ACT_KILL_PROCESS", {}, bpf.KILL_PROCESS),
        ("SCMP_ACT_TRAP", {}, bpf.TRAP),
        ("SCMP_ACT_LOG", {}, bpf.LOG),
        ("SCMP_ACT_ERRNO", {}, EPERM),
        ("SCMP_ACT_ERRNO", {"errnoRet": 0}, bpf.ERRNO),
        ("SCMP_ACT_ERRNO", {"errnoRet": 13}, bpf.ERRNO | 13),
        ("SCMP_ACT_TRACE", {}, bpf.TRACE | 1),
        ("SCMP_ACT_TRACE", {"errnoRet": 77}, bpf.TRACE | 77),
    ],
)
def test_actions(action: str, more: Profile, expected: int) -> None:
    rule = compiled(profile(allow("write", action=action, **more), default="SCMP_ACT_ALLOW"))
    assert (rule(WRITE), rule(READ), rule(LAST)) == (expected, bpf.ALLOW, bpf.ALLOW)
    default_errno = {"defaultErrnoRet": more["errnoRet"]} if more else {}
    default = compiled(profile(allow("read", "clone3"), default=action, **default_errno))
    assert (default(WRITE), default(READ)) == (expected, bpf.ALLOW)


COMPARISONS: list[tuple[str, int, int, Callable[[int], bool]]] = [
    ("SCMP_CMP_NE", 5, 0, lambda x: x != 5),
    ("SCMP_CMP_LT", 1 << 33, 0, lambda x: x < 1 << 33),
    ("SCMP_CMP_LE", 5, 0, lambda x: x <= 5),
    ("SCMP_CMP_EQ", (1 << 64) - 1, 0, lambda x: x == (1 << 64) - 1),
    ("SCMP_CMP_GE", 5, 0, lambda x: x >= 5),
    ("SCMP_CMP_GT", 1 << 32, 0, lambda x: x > 1 << 32),
    ("SCMP_CMP_MASKED_EQ", 0xF0, 0x20, lambda x: x & 0xF0 == 0x20),
]


@pytest.mark.parametrize(("operator", "value", "value_two", "expected"), COMPARISONS)
def test_comparisons(operator: str, value: int, value_two: int, expected: Callable[[int], bool]) -> None:
    arg = {"index": 2, "op": operator, "value": value, "valueTwo": value_two}
    judge = compiled(profile(allow("read", args=[arg])))
    for base in (0, 5, 0x20, 0x2F, 0xF0, 1 << 32, 1 << 33, (1 << 64) - 1):
        for sample in (base - 1, base, base + 1, base + (1 << 32)):
            if 0 <= sample < 1 << 64:
                assert (judge(READ, [9, 9, sample]) == bpf.ALLOW) == expected(sample), hex(sample)


def test_conditions_on_different_arguments_are_joined() -> None:
    args = [{"index": 0, "op": "SCMP_CMP_EQ", "value": 1}, {"index": 1, "op": "SCMP_CMP_EQ", "value": 2}]
    judge = compiled(profile(allow("socket", args=args)))
    assert judge(SOCKET, [1, 2]) == bpf.ALLOW
    assert judge(SOCKET, [1, 3]) == judge(SOCKET, [0, 2]) == EPERM


def test_conditions_on_one_argument_are_alternatives() -> None:
    args = [{"index": 0, "op": "SCMP_CMP_EQ", "value": value} for value in (1, 2)]
    judge = compiled(profile(allow("socket", args=args)))
    assert [judge(SOCKET, [value]) for value in (1, 2, 3)] == [bpf.ALLOW, bpf.ALLOW, EPERM]


def test_unknown_names_and_redundant_rules_are_left_out() -> None:
    rules = [allow("no_such_call", "read"), allow("write", action="SCMP_ACT_ERRNO", errnoRet=1)]
    judge = compiled(profile(*rules))
    assert (judge(READ), judge(WRITE)) == (bpf.ALLOW, EPERM)


@pytest.mark.parametrize("default", ["SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"])
def test_newer_calls_than_the_profile_do_not_exist(default: str) -> None:
    judge = compiled(profile(allow("read", "clone3"), default=default))
    assert [judge(number) for number in (CLONE3 + 1, LAST, 0x3FFFFFFF)] == [ENOSYS] * 3
    assert judge(CLONE3 - 1) not in (ENOSYS, bpf.ALLOW)


@pytest.mark.parametrize("default", ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"])
def test_permissive_defaults_let_newer_calls_pass(default: str) -> None:
    judge = compiled(profile(allow("read", action="SCMP_ACT_ERRNO"), default=default))
    assert judge(LAST) == judge(WRITE) != ENOSYS


def test_default_of_enosys_needs_no_stub() -> None:
    content = profile(allow("read"), defaultErrnoRet=errno.ENOSYS)
    judge = compiled(content)
    assert judge(LAST) == judge(WRITE) == ENOSYS
    assert len(judge.code) < len(compiled(profile(allow("read"))).code)


def test_architectures() -> None:
    names = ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]  # this machine's own is always in
    judge = compiled(profile(allow("read", "write"), architectures=names))
    assert judge(READ) == judge(3, arch=bpf.I386) == bpf.ALLOW
    assert judge(WRITE | bpf.X32_BIT) == bpf.ALLOW
    assert judge(2, arch=bpf.I386) == EPERM
    assert judge(LAST, arch=bpf.I386) == judge(LAST | bpf.X32_BIT) == ENOSYS
    assert judge(63, arch=bpf.AARCH64) == bpf.KILL_THREAD
    alone = compiled(profile(allow("read", "write")))
    assert alone(3, arch=bpf.I386) == bpf.KILL_THREAD
    assert alone(READ | bpf.X32_BIT) == alone(LAST | bpf.X32_BIT) == bpf.KILL_THREAD


def test_long_profiles_become_a_tree() -> None:
    content = json.loads((DATA / "docker28-run.json").read_text())["linux"]["seccomp"]
    judge = compiled(content)
    assert judge(READ) == bpf.ALLOW
    assert judge(101) == bpf.ALLOW  # ptrace
    assert judge(165) == EPERM  # mount
    assert judge(LAST) == ENOSYS
    names = {name for rule in content["syscalls"] for name in rule["names"]}
    assert len(names) > 300
    greater = sum(code == 0x25 or code == 0x35 for code, *_ in judge.code)
    assert greater > 50


def test_stub_for_all_kinds_of_architecture() -> None:
    s390x, x32 = 0x80000016, 0x4000003E
    end = bpf.ALLOW.to_bytes(4, "little")
    stub = compiler.stub({bpf.I386: 10, bpf.X86_64: 20, x32: 30 | bpf.X32_BIT, s390x: 40})
    judge = bpf.Filter(stub + b"\x06\0\0\0" + end)
    limits = [(bpf.I386, 0, 10), (bpf.X86_64, 0, 20), (bpf.X86_64, bpf.X32_BIT, 30), (s390x, 0, 40)]
    for arch, bit, last in limits:
        assert judge(last | bit, arch=arch) == judge(1 | bit, arch=arch) == bpf.ALLOW
        assert judge(last + 1 | bit, arch=arch) == judge(LAST | bit, arch=arch) == ENOSYS
    assert judge(0, arch=s390x) == ENOSYS
    assert judge(0, arch=bpf.I386) == bpf.ALLOW
    assert judge(LAST, arch=bpf.AARCH64) == bpf.ALLOW
    assert compiler.stub({}) == b""


def test_flags() -> None:
    def flags(**more: Any) -> int:
        return compiler.compile_profile(profile(allow("read"), **more), "")[1]

    assert flags() == 4  # SPEC_ALLOW is the specification's default
    assert flags(flags=[]) == 0
    names = ["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"]
    assert flags(flags=[f"SECCOMP_FILTER_FLAG_{name}" for name in names]) == 7
    # a listener needs no threads to be synchronised, and only with one the last flag means something
    notify = {"names": ["write"], "action": "SCMP_ACT_NOTIFY"}
    with_listener = profile(allow("read"), notify, flags=[f"SECCOMP_FILTER_FLAG_{name}" for name in names])
    assert compiler.compile_profile(with_listener, "")[1] == 2 | 4 | 8 | 32
    assert compiler.compile_profile(profile(allow("read"), notify), "")[1] == 4 | 8
    assert lib.pyoci_seccomp_flags_known(4) == 1
    assert lib.pyoci_seccomp_flags_known(1 << 30) == 0


RULE = allow("read", "write")
WRONG: list[tuple[Profile, str, str]] = [
    (profile(RULE, architectures=["SCMP_ARCH_X86", "SCMP_ARCH_PDP11"]), "/architectures/1", "PDP11"),
    (
        profile(RULE, architectures=["SCMP_ARCH_MIPS"]),
        "/architectures/0",
        "SCMP_ARCH_MIPS has another byte order",
    ),
]


@pytest.mark.parametrize(("content", "pointer", "words"), WRONG, ids=[words for _, _, words in WRONG])
def test_what_this_machine_cannot_filter_is_named(content: Profile, pointer: str, words: str) -> None:
    error = refusal(content)
    assert error.pointer == "/linux/seccomp" + pointer
    assert words in error.text()


def test_too_many_rules() -> None:
    args = [[{"index": 0, "op": "SCMP_CMP_EQ", "value": value}] for value in range(4200)]
    error = refusal(profile(*[allow("read", args=each) for each in args]))
    assert error.message.endswith("above 4096")


def test_every_profile_of_the_engines_compiles() -> None:
    seen = 0
    for path in sorted(DATA.glob("*.json")):
        content = json.loads(path.read_text())["linux"].get("seccomp")
        if content:
            seen += 1
            assert compiled(content)(READ) == bpf.ALLOW
    assert seen >= 5


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(filters, "places", lambda: [(str(tmp_path), "pyoci/seccomp")])
    yield tmp_path / "pyoci/seccomp"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[Profile]:
    """The profiles that were compiled, not found in the cache."""
    seen: list[Profile] = []
    real = compiler.compile_profile

    def count(content: Profile, pointer: str, fail_unknown: bool) -> tuple[bytes, int, str]:
        seen.append(content)
        return real(content, pointer, fail_unknown)

    monkeypatch.setattr(compiler, "compile_profile", count)
    return seen


CONTENT = profile(allow("read"), architectures=["SCMP_ARCH_X86"])
OTHER = profile(allow("write"), architectures=["SCMP_ARCH_X86"])


def test_nothing_to_filter() -> None:
    assert filters.program({"defaultAction": "SCMP_ACT_ALLOW"}) == (b"", 0)
    assert filters.program({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}) == (b"", 0)


def test_cache_gives_the_same_program(cache: Path, compilations: list[Profile]) -> None:
    first = filters.program(CONTENT)
    assert filters.program(json.loads(json.dumps(CONTENT))) == first
    assert filters.program(OTHER)[0] != first[0]
    assert compilations == [CONTENT, OTHER]
    assert cache.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in cache.iterdir()] == [0o600, 0o600]


def test_the_cache_does_not_mind_who_the_agent_is(cache: Path, compilations: list[Profile]) -> None:
    rule = {"names": ["read"], "action": "SCMP_ACT_NOTIFY"}
    asking = [profile(rule, listenerPath="/a", listenerMetadata=text) for text in ("one", "two")]
    first, second = (filters.program(content) for content in asking)
    assert first == second and first[1] & 8 and compilations == asking[:1]


def test_a_name_that_nobody_knows(cache: Path) -> None:
    """It is left out, unless it is to fail, whatever is in the cache by then; not where the rule changes nothing."""
    content = profile(allow("read", "raed"))
    filters.program(content)
    with pytest.raises(OciError, match="unknown system call raed") as caught:
        filters.program(content, fail_unknown=True)
    assert caught.value.pointer == "/linux/seccomp/syscalls/0/names/1"
    same = profile({"names": ["raed"], "action": "SCMP_ACT_ERRNO"}, allow("read"))
    assert filters.program(same, fail_unknown=True) == filters.program(same)


def test_cache_is_told_apart_by_content_not_by_name(
    cache: Path, compilations: list[Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "_name", lambda key: "same")
    programs = [filters.program(CONTENT), filters.program(OTHER), filters.program(CONTENT)]
    assert programs[0] == programs[2] != programs[1]
    assert len(compilations) == 3


def test_damaged_cache_files_are_compiled_anew(cache: Path, compilations: list[Profile]) -> None:
    right = filters.program(CONTENT)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    step = max(1, len(whole) // 60)
    for at in range(0, len(whole), step):
        for content in (whole[:at], whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]):
            path.write_bytes(content)
            assert filters.program(CONTENT)[0] == right[0], at
    path.write_bytes(whole + b"x")
    assert filters.program(CONTENT) == right


def test_another_library_is_another_program(
    cache: Path, compilations: list[Profile], monkeypatch: pytest.MonkeyPatch
) -> None:
    filters.program(CONTENT)
    real = filters._identity
    monkeypatch.setattr(filters, "_identity", lambda library: real(library) + b"1")
    filters.program(CONTENT)
    assert len(compilations) == 2


@pytest.mark.parametrize("trouble", ["link", "file link", "writable", "fifo", "file", "read-only"])
def test_trouble_with_the_cache_is_no_error(
    cache: Path, compilations: list[Profile], trouble: str, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    right = filters.program(CONTENT)
    (path,) = cache.iterdir()
    if trouble == "link":
        cache.rename(elsewhere)
        cache.symlink_to(elsewhere)
    elif trouble == "file link":
        path.rename(elsewhere)
        path.symlink_to(elsewhere)
    elif trouble == "writable":
        path.chmod(0o666)
    elif trouble == "fifo":
        path.unlink()
        os.mkfifo(path)
    elif trouble == "file":
        path.unlink()
        cache.rmdir()
        cache.write_text("in the way")
    else:
        path.unlink()
        path.mkdir()
    assert filters.program(CONTENT) == right
    assert len(compilations) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files of another owner")
@pytest.mark.parametrize("which", ["file", "directory", "base"])
def test_cache_of_another_owner_is_not_read(cache: Path, compilations: list[Profile], which: str) -> None:
    """The base is what HOME, for one, names: its owner may have a link there, to files that a container's root has made."""
    filters.program(CONTENT)
    (path,) = cache.iterdir()
    os.chown({"file": path, "directory": cache, "base": cache.parents[1]}[which], 12345, 12345)
    filters.program(CONTENT)
    assert len(compilations) == 2


def test_cache_stays_small(cache: Path) -> None:
    for number in range(70):
        filters.program(profile(allow("read", args=[{"index": 0, "op": "SCMP_CMP_EQ", "value": number}])))
    assert len(list(cache.iterdir())) == 64


def test_places_of_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    import posix

    unusable = {b"XDG_RUNTIME_DIR": b"", b"XDG_CACHE_HOME": b"relative"}
    monkeypatch.setattr(posix, "environ", {b"HOME": b"/home/u", **unusable})
    monkeypatch.setattr(posix, "geteuid", lambda: 1000)
    assert filters.places() == [("/home/u", ".cache/pyoci/seccomp")]
    monkeypatch.setattr(posix, "environ", {b"XDG_RUNTIME_DIR": b"/run/user/0"})
    monkeypatch.setattr(posix, "geteuid", lambda: 0)
    assert filters.places() == [("/var/cache", "pyoci/seccomp"), ("/run/user/0", "pyoci/seccomp")]


def test_library_is_where_it_says() -> None:
    assert lib.pyoci_seccomp_open() == 0
    path = ffi.string(lib.pyoci_seccomp_path()).decode()
    assert os.path.isabs(path) and os.path.exists(path)
    assert lib.pyoci_seccomp_version() >= 2 << 16 | 4 << 8


def test_a_number_has_the_name_that_has_this_number() -> None:
    assert lib.pyoci_seccomp_open() == 0
    buffer = ffi.new("char[]", 64)
    for arch in (b"x86_64", b"x86", b"x32", b"aarch64"):
        token = lib.pyoci_seccomp_arch(arch)
        for name in (b"read", b"clone3", b"mount_setattr"):
            number = lib.pyoci_seccomp_number(token, name)
            assert lib.pyoci_seccomp_name(token, number, buffer, 64) == len(name)
            assert ffi.string(buffer) == name
    assert lib.pyoci_seccomp_name(lib.pyoci_seccomp_native(), READ, buffer, 3) == 4
    assert ffi.string(buffer) == b"re"  # cut
    assert lib.pyoci_seccomp_name(lib.pyoci_seccomp_native(), LAST, buffer, 64) == -errno.ENOENT


CONDITIONS = profile(
    allow("personality", args=[{"index": 0, "op": "SCMP_CMP_MASKED_EQ", "value": 0xFF00, "valueTwo": 0x100}]),
    allow("kill", args=[{"index": 1, "op": "SCMP_CMP_GT", "value": 1 << 40}]),
    allow("socket", action="SCMP_ACT_KILL_PROCESS", args=[{"index": 2, "op": "SCMP_CMP_NE", "value": 0}]),
    allow("read", action="SCMP_ACT_LOG"),
    allow("write", action="SCMP_ACT_TRAP"),
    allow("mkdir", action="SCMP_ACT_KILL_THREAD"),
    *[allow(name) for name in ("clone3", "dup", "dup2", "pipe", "close")],
)


def test_a_filter_that_explains_asks_where_it_would_deny_and_nowhere_else() -> None:
    """And what would be denied is computed as the kernel does, for all kinds of conditions."""
    program = compiler.compile_profile(CONDITIONS, "/linux/seccomp")[0]
    plain, asks = bpf.Filter(program), bpf.Filter(supervisor.asking(explain.notifying(program)))
    code = instructions(program)
    seen = set()
    for number in (*range(450), LAST):
        for argument in (0, 1, 0x100, 0x1FF, 0xFF00, 1 << 40, (1 << 40) + 1, (1 << 64) - 1):
            for arch in (bpf.X86_64, 0x40000003):
                arguments = (argument,) * 6
                value = plain(number, arguments, arch)
                passes = value in (bpf.ALLOW, ACTIONS["SCMP_ACT_LOG"])
                assert asks(number, arguments, arch) == (value if passes else supervisor.NOTIFY)
                assert verdict.run_with(code, number, arch, arguments, 0, set()) == value
                seen.add(value)
    assert {EPERM, ENOSYS, bpf.ALLOW, ACTIONS["SCMP_ACT_TRAP"], ACTIONS["SCMP_ACT_KILL_PROCESS"]} <= seen
    assert ACTIONS["SCMP_ACT_KILL_THREAD"] in seen
    assert asks(lib.CALL_LISTENER_TAKEN) == supervisor.NOTIFY


def test_the_arguments_that_count() -> None:
    code = instructions(compiler.compile_profile(CONDITIONS, "/linux/seccomp")[0])
    for number, expected in ((READ, set()), (62, {1}), (SOCKET, {2}), (LAST, set())):
        compared: set[int] = set()
        verdict.run_with(code, number, bpf.X86_64, (0,) * 6, 0, compared)
        assert compared == expected, number


def test_a_list_that_is_lost_or_long(capfd: pytest.CaptureFixture[str]) -> None:
    """A process that goes on and on with other arguments does not fill our memory; a name in it is no row of its own."""
    made = explain.Explanation()
    made.check(cast("Spec", {"linux": {"seccomp": CONDITIONS}}))
    made.filter(None)
    for value in range(1200):
        made._note((62, bpf.X86_64, EPERM, b"a\nb", (1,), (value,)), (0, value, 0, 0, 0, 0))
    made.report(Log())
    rows = capfd.readouterr().err.splitlines()
    assert rows[0] == "pyoci: run: seccomp denied 1200 system calls:"
    assert rows[1].split(maxsplit=3) == ["1", "EPERM", r"a\nb", "kill(0x0, *0x0, 0x0, 0x0, 0x0, 0x0)"]
    assert len(rows) == 1002 and rows[-1].split(maxsplit=1) == [
        "200",
        "more, with other arguments or by other processes",
    ]
    made.lost = True
    made.report(Log())
    assert "is lost" in capfd.readouterr().err


def test_a_process_that_is_hidden_from_us_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The filter kills, and /proc with hidepid does not show whom: the call is denied, and does not wait for ever."""
    given = []

    class Answering:
        @staticmethod
        def pyoci_notification_answer(*what: int) -> int:
            given.append(what)
            return 0

    monkeypatch.setattr(explain, "lib", Answering)
    monkeypatch.setattr(explain, "_read", lambda thread, name: b"")
    made = explain.Explanation()
    made._code = [(0x06, 0, 0, bpf.KILL_PROCESS)]  # a return
    made._answer(7, ffi.new("struct pyoci_notification *", {"id": 3, "thread": 1, "arch": bpf.X86_64}))
    assert given == [(7, 3, errno.EPERM)] and len(made.calls) == 1


def test_a_kernel_without_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FLAG_NEW_LISTENER", 1 << 20)
    with pytest.raises(OciError, match="this kernel has no user notification"):
        explain.Explanation().check(cast("Spec", {}))


EQUAL = {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}


@pytest.mark.parametrize(
    ("older", "pointer", "why"),
    [
        (
            profile(default="SCMP_ACT_KILL"),
            "/p/defaultAction",
            "default action is not SCMP_ACT_ERRNO with EPERM",
        ),
        (profile(defaultErrnoRet=38), "/p/defaultAction", "default action is not SCMP_ACT_ERRNO with EPERM"),
        (
            profile(allow("read", action="SCMP_ACT_LOG")),
            "/p/syscalls/0/action",
            "has the action SCMP_ACT_LOG",
        ),
        (profile(allow("a"), allow("b", args=[EQUAL])), "/p/syscalls/1/args", "has conditions on arguments"),
        (profile(flags=[]), "/p/flags", "it has flags"),
    ],
)
def test_a_profile_that_cannot_be_joined(older: Profile, pointer: str, why: str) -> None:
    with pytest.raises(OciError, match=f"^old.json cannot be joined: .*{why}$") as caught:
        record.check_older(older, "old.json", "/p")
    assert caught.value.pointer == pointer


def test_profiles_are_joined() -> None:
    older = profile(
        allow("write", "read"), allow("mkdir"), architectures=["SCMP_ARCH_X86"], defaultErrnoRet=1
    )
    record.check_older(older, "", "")
    newer = profile(allow("read", "close"), architectures=["SCMP_ARCH_X86_64"])
    assert record.joined(newer, older) == {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["close", "mkdir", "read", "write"], "action": "SCMP_ACT_ALLOW"}],
    }


def test_a_recording_with_what_has_no_name(capfd: pytest.CaptureFixture[str]) -> None:
    made = record.Recorder()
    made.check(cast("Spec", {"process": {"noNewPrivileges": True}}))
    for number, arch in ((READ, bpf.X86_64), (LAST, bpf.X86_64), (20, 0x40000003), (0x40000000, bpf.X86_64)):
        made.calls[number, arch, 0, b"", (), ()] = (3, ())
    found = made.profile()
    assert found["architectures"] == ["SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"]
    assert found["syscalls"][0]["names"] == ["execve", "getpid", "read"]
    made.report(Log())
    assert (
        capfd.readouterr().err == f"pyoci: warning: libseccomp has no name for system call {LAST} of X86_64\n"
    )
