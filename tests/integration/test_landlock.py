"""The annotation org.pyoci.landlock: what its rules deny, to whom, and what is refused (docs/landlock.md)."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
from harness import refusals
from harness.agent import Agent
from harness.box import Container
from harness.boxes import Boxes
from harness.programs import Programs

from pyoci._shim import lib

pytestmark = [
    pytest.mark.only("pyoci"),
    pytest.mark.skipif(lib.pyoci_landlock_abi() < 6, reason="the kernel has no Landlock of ABI 6"),
]
ANNOTATION = "org.pyoci.landlock"
PAGE = (Path(__file__).resolve().parents[2] / "docs/landlock.md").read_text()
# what the program of these tests needs, and no more
PROGRAM = {"path": "/bin", "allow": ["read", "execute"]}


def ruled(made: Container, *paths: dict[str, Any], **rules: Any) -> Container:
    """Give a container a rule set; with paths, its program may run."""
    if paths:
        rules["paths"] = [PROGRAM, *paths]
    made.config["annotations"] = {ANNOTATION: json.dumps(rules)}
    return made


def asked(programs: Programs, made: Container, *what: tuple[str, object]) -> list[str]:
    """The command that tries these things."""
    return [made.put(programs.path("reach")), *(str(word) for pair in what for word in pair)]


def answers(out: str) -> list[int]:
    """The errno of each of them."""
    return [int(line.split()[-1]) for line in out.splitlines()]


DENIED = errno.EACCES
EXECVEAT, AT_EXECVE_CHECK = 322, 0x10000
# in a container with files(), under the rules READ and WRITE
FILES: list[tuple[tuple[str, str], int]] = [
    (("read", "/open/file"), 0),
    (("list", "/open"), 0),
    (("write", "/open/file"), DENIED),
    (("truncate", "/open/file"), DENIED),
    (("make", "/open/new"), DENIED),
    (("exec", "/open/program"), DENIED),
    (("read", "/closed/file"), DENIED),
    (("list", "/closed"), DENIED),
    (("list", "/"), DENIED),
    (("write", "/work/file"), 0),
    (("truncate", "/work/file"), 0),
    (("read", "/work/file"), DENIED),
    (("make", "/work/new"), 0),
    (("mkdir", "/work/directory"), 0),
    (("mkfifo", "/work/fifo"), 0),
    (("rename", "/work/new:/work/directory/new"), 0),
    (("rename", "/work/directory/new:/closed/new"), DENIED),
    (("exec", "/bin/busybox"), 0),
]
READ = {"path": "/open", "allow": ["read"]}
WRITE = {"path": "/work", "allow": ["write"]}


def files_only(made: Container) -> Container:
    """The files that FILES is about, for any user."""
    for name in ("open", "closed", "work"):
        made.file(f"/{name}/file", "text", 0o666)
        (made.rootfs / name).chmod(0o777)
    return made


def files(programs: Programs, made: Container) -> Container:
    """The same, with the program that tries all of FILES."""
    files_only(made)
    shutil.copyfile(made.rootfs / "bin/busybox", made.rootfs / "open/program")
    (made.rootfs / "open/program").chmod(0o755)
    made.args(*asked(programs, made, *(what for what, _ in FILES)))
    return made


@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("no_new_privileges", [True, False])
@pytest.mark.parametrize("user_namespace", [False, True])
def test_what_no_rule_allows_is_denied(
    box: Boxes, programs: Programs, user_namespace: bool, no_new_privileges: bool, uid: int
) -> None:
    made = ruled(files(programs, box()), READ, WRITE)
    made.process["noNewPrivileges"] = no_new_privileges
    made.process["user"] = {"uid": uid, "gid": uid}
    if user_namespace:
        made.user_namespace()
    assert answers(made.out()) == [expected for _, expected in FILES]


def test_the_privilege_to_enforce_the_rules_is_given_up(box: Boxes) -> None:
    made = ruled(box("/bin/grep", "^Cap", "/proc/self/status"), {"path": "/proc", "allow": ["read"]})
    made.capabilities("CAP_CHOWN")
    sets = dict(line.split(":\t") for line in made.out().splitlines())
    chown = f"{1:016x}"
    assert {name: sets[name] for name in ("CapPrm", "CapEff", "CapBnd")} == dict.fromkeys(
        ("CapPrm", "CapEff", "CapBnd"), chown
    )


def test_the_kernels_own_words_for_rights(box: Boxes, programs: Programs) -> None:
    """Each alone; ioctl_dev is on a device, which says ENOTTY of what it does not know."""
    rules = [
        {"path": "/open", "allow": ["read_file"]},
        {"path": "/work", "allow": ["make_dir", "truncate"]},
        {"path": "/dev/null", "allow": ["read_file", "write_file"]},
        {"path": "/dev/zero", "allow": ["read_file", "write_file", "ioctl_dev"]},
    ]
    made = ruled(files(programs, box()), *rules)
    wanted = {
        ("read", "/open/file"): 0,
        ("list", "/open"): DENIED,
        ("mkdir", "/work/directory"): 0,
        ("make", "/work/new"): DENIED,
        ("truncate", "/work/file"): 0,
        ("write", "/work/file"): DENIED,
        ("tiocgwinsz", "/dev/null"): DENIED,
        ("tiocgwinsz", "/dev/zero"): errno.ENOTTY,
    }
    made.args(*asked(programs, made, *wanted))
    assert answers(made.out()) == list(wanted.values())


def test_tcp_ports(box: Boxes, programs: Programs) -> None:
    """Without rules on paths files are not restricted, and without rules on ports these are not."""
    ports: dict[tuple[str, object], int] = {
        ("bind", 8080): 0,
        ("bind", 8081): DENIED,
        ("connect", 443): errno.ECONNREFUSED,
        ("connect", 8080): DENIED,
    }
    made = ruled(box(), tcp={"bind": [8080], "connect": [443]})
    made.args(*asked(programs, made, *ports, ("read", "/etc/passwd")))
    assert answers(made.out()) == [*ports.values(), 0]
    made = ruled(box(), WRITE | {"optional": True})
    made.args(*asked(programs, made, *ports))
    assert answers(made.out()) == [0, 0, errno.ECONNREFUSED, errno.ECONNREFUSED]


@pytest.mark.parametrize(
    "scope", [["signal"], ["abstract_unix_socket"], ["signal", "abstract_unix_socket"], None]
)
def test_scopes(box: Boxes, programs: Programs, scope: list[str] | None) -> None:
    """Processes and sockets outside of the rules: those of the host, which the container shares namespaces with."""
    rules: dict[str, Any] = {"scope": scope} if scope else {"tcp": {}}
    made = ruled(box(), **rules)
    made.no_namespace("pid")
    made.no_namespace("network")
    name = f"landlock-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen()
        made.args(*asked(programs, made, ("signal", os.getpid()), ("abstract", name)))
        found = answers(made.out())
    denied = scope or []
    assert found == [
        errno.EPERM if "signal" in denied else 0,
        errno.EPERM if "abstract_unix_socket" in denied else 0,
    ]


def test_exec_is_under_the_same_rules(box: Boxes, programs: Programs) -> None:
    made = ruled(files(programs, box()), READ, WRITE, scope=["signal"])
    command = [*made.process["args"], "signal", "1", "trace", "1"]
    made.args("/bin/sleep", "1000").launch()
    expected = [expected for _, expected in FILES]
    # the first process is under a ruleset of its own
    apart = [errno.EPERM, errno.EPERM]
    assert answers(made.exec(*command).out) == [*expected, *apart]
    for name in ("file", "fifo", "directory/new", "directory"):
        path = made.rootfs / "work" / name
        path.rmdir() if path.is_dir() else path.unlink()
    made.file("/work/file", "text", 0o666)
    as_user = made.exec(*command, options=("--user", "1000:1000", "--no-new-privs"))
    assert answers(as_user.out) == [*expected, *apart]
    shutil.rmtree(made.rootfs / "open")
    made.exec(*command, check=False).failed("paths[1]", "/open", "no such file")


def test_a_start_container_hook_is_under_the_same_rules(box: Boxes, programs: Programs) -> None:
    made = ruled(files(programs, box()), READ, WRITE)
    made.config["hooks"] = {
        "startContainer": [
            {
                "path": "/bin/sh",
                "args": ["sh", "-c", "cat /open/file /closed/file; echo > /closed/new; echo > /work/of-hook"],
            }
        ]
    }
    made.config["annotations"]["run.oci.hooks.stderr"] = str(made.directory / "said")
    made.args("/bin/true").create()
    made.start()
    assert (made.directory / "said").read_text().lower().count("permission denied") == 2
    assert (made.rootfs / "work/of-hook").exists()
    assert made.wait() == 0


def test_a_hook_that_the_rules_leave_out(box: Boxes, programs: Programs) -> None:
    made = ruled(files(programs, box()), READ)
    made.config["hooks"] = {"startContainer": [{"path": "/open/program", "args": ["true"]}]}
    made.args("/bin/true").run(check=False).failed(
        "error running startContainer hook #0", "permission denied"
    )


def test_without_rules_a_process_of_exec_traces_the_first_one(box: Boxes, programs: Programs) -> None:
    made = box("/bin/sleep", "1000")
    command = asked(programs, made, ("signal", 1), ("trace", 1))
    assert answers(made.launch().exec(*command).out) == [0, 0]


def test_without_a_mount_namespace(box: Boxes, programs: Programs) -> None:
    """The paths are those in the root filesystem, for `exec`, too."""
    made = ruled(files(programs, box()), READ, WRITE)
    command = made.process["args"]
    made.no_namespace("mount")
    del made.config["mounts"]
    made.args("/bin/sleep", "1000").launch()
    assert answers(made.exec(*command).out) == [expected for _, expected in FILES]
    made.stop()


def test_a_path_that_is_missing(box: Boxes) -> None:
    made = box("/bin/ls", "/bin")
    for path in ("/not/there", "/etc/passwd/below"):
        ruled(made, {"path": path, "allow": ["read"]})
        made.create(check=False).failed("landlock", "paths[1]", path, "optional")
        ruled(made, {"path": path, "allow": ["read"], "optional": True})
        assert "busybox" in made.out()


def test_the_working_directory_is_made_before_its_rule(box: Boxes, programs: Programs) -> None:
    made = ruled(box(), {"path": "/made/for/it", "allow": ["write"]})
    made.process["cwd"] = "/made/for/it"
    made.args(*asked(programs, made, ("make", "new")))
    assert answers(made.out()) == [0]


def test_links_are_followed_in_the_container(box: Boxes, programs: Programs, folder: Path) -> None:
    (folder / "outside").mkdir()
    made = ruled(files(programs, box()), {"path": "/link", "allow": ["read"]})
    (made.rootfs / "link").symlink_to(folder / "outside")
    made.create(check=False).failed("/link", "no such file")
    (made.rootfs / "link").unlink()
    (made.rootfs / "link").symlink_to("/proc/self/root")
    made.create(check=False).failed("/link", "a magic link of /proc")
    (made.rootfs / "link").unlink()
    (made.rootfs / "link").symlink_to("../../../../../closed")
    made.args(
        *asked(programs, made, ("read", "/closed/file"), ("read", "/link/file"), ("read", "/open/file"))
    )
    assert answers(made.out()) == [0, 0, DENIED]


def test_rights_of_directories_on_a_file(box: Boxes) -> None:
    """The words for several rights mean those that a file can have, what is named must be possible."""
    made = ruled(box("/bin/cat", "/etc/passwd"), {"path": "/etc/passwd", "allow": ["read", "write"]})
    assert "root:x:0:0" in made.out()
    ruled(made, {"path": "/etc/passwd", "allow": ["read_file", "read_dir"]})
    made.create(check=False).failed("paths[1]", "invalid argument", "it is no directory")


def test_a_program_that_the_rules_leave_out(box: Boxes) -> None:
    made = box("/bin/true")
    for rules in ([], [{"path": "/bin", "allow": ["execute"]}], [{"path": "/bin", "allow": ["read"]}]):
        made.config["annotations"] = {ANNOTATION: json.dumps({"paths": rules})}
        made.run(check=False).failed('exec: "/bin/true": permission denied', "read_file and execute")
        made.create(check=False).failed('exec: "/bin/true": permission denied')
    assert "landlock-program" in made.runtime.call("validate", str(made.directory)).out


def test_a_program_that_is_left_out_on_a_kernel_before_6_14(box: Boxes) -> None:
    """Which does not tell before execve(2): `start` says it in the same words."""
    reason = refusals.why_not()
    if reason:
        pytest.skip(reason)
    older = refusals.loader(refusals.Refusal(EXECVEAT, errno.EINVAL, argument=4, bits=AT_EXECVE_CHECK))
    made = ruled(box("/open/program"), READ)
    files_only(made)
    shutil.copy(made.rootfs / "bin/busybox", made.rootfs / "open/program")
    made.create(preexec_fn=older)
    words = ('exec: "/open/program": permission denied', "read_file and execute")
    made.start(check=False).failed(*words)
    made.delete("--force")
    made.run(check=False, preexec_fn=older).failed(*words)


def dynamic(made: Container) -> str:
    """A program that needs a dynamic loader and a library, in the root filesystem; returns its loader."""
    said = subprocess.run(["ldd", "/bin/cat"], capture_output=True, text=True, check=False).stdout
    needed = [word for word in said.split() if word.startswith("/")]
    if len(needed) < 2:
        pytest.skip("this machine's cat is not linked dynamically")
    for path in needed:
        target = made.rootfs / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    made.put(Path("/bin/cat"))
    return needed[-1]


def test_a_program_whose_loader_the_rules_leave_out(box: Boxes) -> None:
    made = box("/bin/cat", "/etc/passwd")
    loader = dynamic(made)
    libraries = [{"path": path, "allow": ["read_file"]} for path in ("/lib", "/usr/lib", "/lib64")]
    optional = [rule | {"optional": True} for rule in libraries]
    ruled(made, {"path": "/etc", "allow": ["read"]}, *optional)
    made.run(check=False).failed(f'exec: "{loader}": permission denied', "read_file and execute")
    validated = made.runtime.call("validate", str(made.directory)).out
    assert "landlock-program" in validated and loader in validated
    ruled(
        made, {"path": "/etc", "allow": ["read"]}, *optional, {"path": loader, "allow": ["read", "execute"]}
    )
    assert "root:x:0:0" in made.out()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_kernel_without_landlock(box: Boxes, number: int) -> None:
    reason = refusals.why_not()
    if reason:
        pytest.skip(reason)
    made = ruled(box("/bin/true"), WRITE | {"optional": True})
    absent = refusals.loader(refusals.Refusal(444, number))
    made.create(check=False, preexec_fn=absent).failed("this kernel has no Landlock", "ABI 5", "Linux 6.10")
    said = made.runtime.call("validate", str(made.directory), preexec_fn=absent)
    assert said.rc == 1
    assert "landlock-abi" in said.out
    features = made.runtime.call("features", preexec_fn=absent).ok().json()["annotations"]
    assert features["org.pyoci.landlock.abi"] == "0"


def test_an_older_abi_is_refused_or_asked_for(box: Boxes, programs: Programs) -> None:
    made = box("/bin/true")
    wrapper = made.file(
        "../older", f'#!/bin/sh\nexec {programs.path("landlock_abi")} 3 {made.runtime.path} "$@"\n', 0o755
    )
    made.runtime.path = wrapper
    refused = {
        ("paths",): {"paths": [PROGRAM]},
        ("ioctl_dev", "ABI 5", "Linux 6.10"): {
            "paths": [PROGRAM, {"path": "/dev/null", "allow": ["ioctl_dev"]}]
        },
        ("tcp", "ABI 4", "Linux 6.7"): {"tcp": {"connect": [80]}},
        ("scope[0]", "signal", "ABI 6", "Linux 6.12"): {"scope": ["signal"]},
        ("log[0]", "new_exec_on", "ABI 7", "Linux 6.15"): {
            "paths": [PROGRAM],
            "log": ["new_exec_on"],
        },
    }
    for words, rules in refused.items():
        made.config["annotations"] = {ANNOTATION: json.dumps(rules)}
        made.create(check=False).failed("this kernel has ABI 3 of Landlock", *words)
        assert "this kernel has ABI 3" in made.runtime.call("validate", str(made.directory)).out
    made.config["annotations"] = {ANNOTATION: json.dumps({"abi": 3, "paths": [PROGRAM]})}
    made.args(*asked(programs, made, ("read", "/etc/passwd"), ("bind", 80)))
    assert answers(made.out()) == [DENIED, 0]


@pytest.mark.skipif(lib.pyoci_landlock_abi() < 7, reason="the kernel has no Landlock of ABI 7")
def test_what_is_logged(box: Boxes, folder: Path) -> None:
    """The flags get to the kernel, which alone logs."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    made = ruled(box("/bin/true"), WRITE | {"optional": True}, log=["same_exec_off", "new_exec_on"])
    assert "landlock_restrict_self(" in (trace := traced(made, folder))
    assert any("0x3" in line or "OFF|" in line for line in trace.splitlines() if "restrict_self" in line)


def traced(made: Container, folder: Path, *options: str) -> str:
    """The system calls of Landlock that a run makes; the result of the run is not looked at."""
    made.save()
    argv = made.runtime.argv("run", "--bundle", str(made.directory), made.id)
    calls = "landlock_create_ruleset,landlock_add_rule,landlock_restrict_self"
    command = ["strace", "-f", "-qq", "-o", str(folder / "trace"), "-e", f"trace={calls}", *options, *argv]
    with (folder / "said").open("w") as said:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=60, check=False)
    return (folder / "trace").read_text()


def test_without_the_annotation_no_call_is_made(box: Boxes, folder: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    made = box("/bin/true")
    assert "landlock" not in traced(made, folder)
    assert traced(ruled(made, WRITE | {"optional": True}), folder).count("landlock_restrict_self") == 1


def test_a_call_that_fails_or_kills_leaves_nothing(box: Boxes, folder: Path) -> None:
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    made = ruled(box("/bin/true"), tcp={"bind": [1]})
    for call in ("landlock_add_rule", "landlock_restrict_self"):
        for what in ("error=EPERM", "signal=KILL"):
            trace = traced(made, folder, "-e", f"inject={call}:{what}")
            said = (folder / "said").read_text()
            assert not made.runtime.exists(made.id)
            assert "INJECTED" in trace or "SIGKILL" in trace
            assert "Traceback" not in said
            assert (call if what == "error=EPERM" else "was killed") in said
    if not refusals.why_not():
        refused = refusals.Refusal(444, errno.E2BIG, argument=2, value=0)  # not the question for the version
        made.create(check=False, preexec_fn=refusals.loader(refused)).failed("landlock_create_ruleset")


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_the_filter_comes_after_the_rules(box: Boxes, no_new_privileges: bool) -> None:
    """So a profile need not allow the system calls of Landlock."""
    made = ruled(box("/bin/cat", "/etc/passwd"), WRITE | {"optional": True})
    made.process["noNewPrivileges"] = no_new_privileges
    names = ["landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"]
    made.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": names, "action": "SCMP_ACT_KILL_PROCESS"}],
    }
    assert "Permission denied" in made.run(check=False).err


def test_an_agent_is_not_asked_about_the_rules(box: Boxes, programs: Programs, folder: Path) -> None:
    agent = Agent(programs.path("agent"), folder / "agent")
    try:
        made = ruled(box("/bin/cat", "/etc/passwd"), WRITE | {"optional": True})
        made.linux["seccomp"] = agent.profile("landlock_create_ruleset", "landlock_restrict_self", "chdir")
        assert "Permission denied" in made.run(check=False).err
        assert len(agent.states(1)) == 1 and agent.calls() == []
    finally:
        agent.close()


def test_plan_and_debug_show_the_steps(box: Boxes) -> None:
    made = ruled(box("/bin/true"), WRITE | {"optional": True}, tcp={"bind": [80]}, scope=["signal"])
    made.save()
    shown = made.runtime.call("plan", "--steps", str(made.directory)).ok().out
    for words in (
        "landlock_ruleset",
        "Landlock paths[1] /work: write",
        "Landlock tcp.bind 80",
        "Landlock ruleset in force",
    ):
        assert words in shown
    assert shown.index("pivot_root") < shown.index("landlock_ruleset")
    assert "/work: write; tcp.bind 80" in made.runtime.call("plan", str(made.directory)).ok().out
    made.runtime.global_options = ["--debug"]
    assert "init: landlock: Landlock ruleset in force" in made.run().err


def test_the_example_of_the_page(box: Boxes, programs: Programs) -> None:
    """With programs that are linked dynamically."""
    example = PAGE.split("```json\n")[1].split("```")[0]
    made = box()
    dynamic(made)
    made.put(Path("/bin/dash"), "dash")
    made.file("/srv/secret", "secret")
    made.config["annotations"] = {ANNOTATION: example}
    script = "cat /etc/passwd < /dev/null > /tmp/copy; cat /tmp/copy; cat /srv/secret; echo > /etc/new; echo > /dev/null; "
    reach = asked(
        programs, made, ("bind", 8080), ("bind", 80), ("connect", 8080), ("signal", 1), ("list", "/proc/1")
    )
    made.args("/bin/dash", "-c", script + " ".join(reach))
    found = made.run()
    assert found.out.startswith("root:x:0:0")
    assert [line.split()[-1] for line in found.lines()[-5:]] == ["0", str(DENIED), str(DENIED), "0", "0"]
    assert found.err.lower().count("permission denied") == 2 and not (made.rootfs / "etc/new").exists()


def test_what_the_page_says_is_not_covered(box: Boxes) -> None:
    """But for mounts, which no capability helps to."""
    made = ruled(files_only(box()), {"path": "/proc", "allow": ["read"]})
    made.capabilities("CAP_SYS_ADMIN", "CAP_CHOWN", "CAP_FOWNER")
    made.sh(
        "stat -c %s /closed/file && cd /closed && chmod 600 /closed/file && chown 1 /closed/file && echo so far;"
        "mount -t tmpfs none /work; umount /proc"
    )
    found = made.run(check=False)
    assert found.lines() == ["4", "so far"]
    assert found.err.count("Operation not permitted") + found.err.count("permission denied") == 2, found


def test_descriptors_that_were_open_before(box: Boxes, folder: Path) -> None:
    given = folder / "given"
    given.write_text("given\n")
    made = ruled(box("/bin/cat"), WRITE | {"optional": True})
    with given.open() as file:
        assert made.out(stdin=file) == "given\n"
