"""process: command, environment, directory, user, limits, capabilities, privileges."""

from __future__ import annotations

import os
import re
import resource
from pathlib import Path

import pytest
from harness import machine
from harness.box import Container
from harness.boxes import Boxes
from harness.programs import Programs

ALL_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def status_lines(text: str) -> dict[str, str]:
    """/proc/self/status as a dictionary."""
    return {line.split(":", 1)[0]: line.split(":", 1)[1].strip() for line in text.splitlines() if ":" in line}


def capability_sets(text: str) -> dict[str, int]:
    """The capability sets in /proc/self/status."""
    found = status_lines(text)
    return {name: int(found[name], 16) for name in ALL_SETS}


def show_status(made: Container) -> dict[str, str]:
    """/proc/self/status of a program run in the container."""
    return status_lines(made.args("/bin/cat", "/proc/self/status").out())


# -- args


def test_arguments_come_unchanged(box: Boxes, programs: Programs) -> None:
    made = box()
    words = ["", " ", "two words", "$HOME", "'", '"', "\\", "ä", "\n", "-x", "*"]
    made.args(made.put(programs.path("probe")), "x", *words)
    assert made.out() == "\n".join([made.process["args"][0], "x", *words]) + "\n"


def test_many_long_arguments(box: Boxes, programs: Programs) -> None:
    made = box()
    words = [str(number) * 100 for number in range(2000)]
    made.args(made.put(programs.path("probe")), "x", *words)
    assert made.out().splitlines()[2:] == words


def test_the_program_is_looked_up_in_the_containers_path(box: Boxes) -> None:
    made = box("hello")
    made.file("opt/bin/hello", "#!/bin/sh\necho hello from $0\n", 0o755)
    made.process["env"] = ["PATH=/nowhere:/opt/bin:/bin"]
    assert made.out() == "hello from /opt/bin/hello\n"


def test_the_first_executable_in_the_path_wins(box: Boxes) -> None:
    made = box("hello")
    made.file("a/hello", "#!/bin/sh\necho not executable\n", 0o644)
    made.file("b/hello", "#!/bin/sh\necho b\n", 0o755)
    made.file("c/hello", "#!/bin/sh\necho c\n", 0o755)
    made.process["env"] = ["PATH=/a:/b:/c:/bin"]
    assert made.out() == "b\n"


def test_a_relative_program_with_a_slash_is_relative_to_cwd(box: Boxes) -> None:
    made = box("./hello")
    made.file("opt/hello", "#!/bin/sh\necho here\n", 0o755)
    made.process["cwd"] = "/opt"
    assert made.out() == "here\n"


def test_the_path_of_the_caller_does_not_count(box: Boxes, folder: Path) -> None:
    made = box("hello")
    made.process["env"] = ["PATH=/bin"]
    (folder / "hello").write_text("#!/bin/sh\necho wrong\n")
    (folder / "hello").chmod(0o755)
    found = made.run(check=False, env={"PATH": str(folder)})
    found.failed("executable file not found in $PATH")


def test_a_program_that_is_not_in_the_path(box: Boxes) -> None:
    box("no-such-program").run(check=False).failed("no-such-program", "executable file not found in $PATH")


def test_a_program_that_does_not_exist(box: Boxes) -> None:
    box("/no/such/program").run(check=False).failed("/no/such/program", "no such file or directory")


def test_a_program_that_is_not_executable(box: Boxes) -> None:
    box("/etc/passwd").run(check=False).failed("/etc/passwd", "permission denied")


def test_a_program_that_a_capability_opens(box: Boxes) -> None:
    """execve(2) heeds CAP_DAC_OVERRIDE of a user who is not root; access(2) does not."""
    made = box("/data/program")
    made.file("data/program", "#!/bin/sh\necho ran\n", 0o744)
    made.process["user"] = {"uid": 1000, "gid": 1000}
    made.capabilities()
    made.run(check=False).failed("permission denied")
    made.process["capabilities"] = {
        name: ["CAP_DAC_OVERRIDE"]
        for name in ("bounding", "effective", "permitted", "inheritable", "ambient")
    }
    assert made.out() == "ran\n"
    made.args("program").process["env"] = ["PATH=/nowhere:/data:/bin"]
    assert made.out() == "ran\n"
    made.file("data/program", "#!/bin/sh\necho ran\n", 0o644)
    made.args("/data/program").run(check=False).failed("permission denied")


def test_a_program_that_is_a_directory(box: Boxes) -> None:
    found = box("/bin").run(check=False).failed("/bin")
    assert re.search("permission denied|is a directory", found.err)


def test_create_already_refuses_a_program_that_does_not_exist(box: Boxes) -> None:
    made = box("/no/such/program")
    made.create(check=False).failed("no such file or directory")
    assert not made.runtime.exists(made.id)


@pytest.mark.only("pyoci")
def test_a_missing_interpreter_is_named(box: Boxes) -> None:
    """Of a script, of one whose interpreter is a script; and why, where an editor of Windows has written it."""
    made = box("/script")
    made.file("script", "#!/usr/bin/nosuchinterpreter -x\n", 0o755)
    made.run(check=False).failed("/usr/bin/nosuchinterpreter")
    made.file("second", "#!/script\n", 0o755)
    words = "the interpreter /usr/bin/nosuchinterpreter is missing", "exec /second: no such file or directory"
    made.args("/second").run(check=False).failed(*words)
    made.file("windows", "#!/bin/sh\r\n", 0o755).write_bytes(b"#!/bin/sh\r\n")
    made.args("/windows").run(check=False).failed("/bin/sh\\x0d is missing", "a carriage return")


@pytest.mark.only("pyoci")
def test_an_exec_of_a_script_without_its_interpreter_is_told_on_one_line(box: Boxes) -> None:
    """runc's tests count the lines, and look for these words."""
    made = box("/bin/sleep", "1000")
    made.file("run.sh", "#!/mmnnttbb foo bar\nsh\n", 0o755)
    made.launch()
    for options in ((), ("-t",)):
        (line,) = made.exec("/run.sh", options=options, check=False).failed().err.splitlines()
        assert line.endswith(": exec /run.sh: no such file or directory") and " /mmnnttbb is missing" in line


@pytest.mark.only("pyoci")
def test_an_interpreter_that_can_not_be_executed_is_named(box: Boxes) -> None:
    made = box("/script")
    made.file("script", "#!/interpreter\n", 0o755)
    made.file("interpreter", "x", 0o644)
    made.run(check=False).failed("the interpreter /interpreter can't be executed", "permission denied")
    made.file("interpreter", "x", 0o755)
    made.mount("/interpreter", "bind", str(made.rootfs / "interpreter"), "bind", "noexec")
    made.run(check=False).failed(
        "/interpreter is on a file system that is mounted with noexec", "permission denied"
    )
    made.file("folder", "#!/bin\n", 0o755)
    made.args("/folder").run(check=False).failed("the interpreter /bin is a directory", "permission denied")
    # what is no file is not opened: for a device that alone may have effects
    made.file("fifo", "#!/queue\n", 0o755)
    os.mkfifo(made.rootfs / "queue")
    (made.rootfs / "queue").chmod(0o755)
    made.args("/fifo").run(check=False).failed(
        "the interpreter /queue can't be executed", "permission denied"
    )


@pytest.mark.only("pyoci")
def test_a_program_for_another_machine_is_told(box: Boxes) -> None:
    made = box("/program")
    data = bytearray((made.rootfs / "bin/busybox").read_bytes())
    data[18:20] = (258).to_bytes(2, "little")  # e_machine: LoongArch
    made.file("program", "", 0o755).write_bytes(data)
    made.create()
    made.start(check=False).failed("exec format error", "the program is for loongarch64, and this machine is")
    made.wait()
    made.delete()
    made.file("script", "#!/program\n", 0o755)
    made.args("/script").run(check=False).failed('"/program": exec format error', "is for loongarch64")


@pytest.mark.only("pyoci")
def test_arguments_and_variables_that_are_too_long_are_named(box: Boxes) -> None:
    made = box("/bin/true")
    made.process["env"] = ["PATH=/bin", "SMALL=" + "x" * 131065]
    made.run()
    made.process["env"] = ["PATH=/bin", "LARGE=" + "x" * 131066]
    made.create(check=False).failed("variable LARGE takes 131073 bytes: the kernel takes 131072 at most")
    made.process["env"] = ["PATH=/bin"]
    made.args("/bin/true", "\xfc" * 65536)
    made.create(check=False).failed("argument 1 takes 131073 bytes")
    made.args("/bin/true").process["env"] += [f"V{number}=" + "x" * 130000 for number in range(50)]
    made.create()
    made.start(check=False).failed("argument list too long", "a quarter of RLIMIT_STACK")
    made.wait()


@pytest.mark.only("pyoci")
def test_a_missing_dynamic_linker_is_named(box: Boxes) -> None:
    made = box()
    made.args(made.put(Path("/usr/bin/cat")))
    made.run(check=False).failed("/lib64/ld-linux-x86-64.so.2")


def test_a_program_with_a_wrong_format(box: Boxes) -> None:
    made = box("/junk")
    made.file("junk", "\0\1\2 no program", 0o755)
    made.run(check=False).failed("exec format error")


def test_empty_args_are_refused(box: Boxes) -> None:
    made = box()
    made.process["args"] = []
    made.run(check=False).failed("args")


# -- env and cwd


def test_the_environment_is_exactly_the_configured_one(box: Boxes) -> None:
    made = box("/bin/env")
    made.process["env"] = ["PATH=/bin", "A=1", "EMPTY=", "B=x=y", "HOME=/here", "U=ü"]
    assert sorted(made.out().splitlines()) == sorted(made.process["env"])


def test_home_comes_from_the_password_file(box: Boxes) -> None:
    made = box.sh("echo $HOME")
    made.process["user"] = {"uid": 1000, "gid": 1000}
    assert made.out() == "/home\n"


def test_home_of_an_unknown_user_is_the_root_directory(box: Boxes) -> None:
    made = box.sh("echo $HOME")
    made.process["user"] = {"uid": 4321, "gid": 4321}
    assert made.out() == "/\n"


def test_a_configured_home_wins(box: Boxes) -> None:
    made = box.sh("echo $HOME")
    made.process["env"].append("HOME=/configured")
    assert made.out() == "/configured\n"


def test_of_a_variable_given_twice_the_last_value_is_the_only_one(box: Boxes) -> None:
    made = box("/bin/env")
    made.process["env"] += ["A=first", "A=second"]
    assert [line for line in made.out().splitlines() if line[:2] == "A="] == ["A=second"]


@pytest.mark.parametrize("cwd", ["/", "/tmp", "/proc/self", "/bin/../tmp"])
def test_the_working_directory(box: Boxes, cwd: str) -> None:
    made = box.sh('test "$(stat -c %d:%i .)" = "$(stat -L -c %d:%i $0)" && echo same'.replace("$0", cwd))
    made.process["cwd"] = cwd
    if cwd == "/proc/self":
        made.sh("readlink -f . | cut -d/ -f2")
        assert made.out() == "proc\n"
    else:
        assert made.out() == "same\n"


def test_a_missing_working_directory_is_made(box: Boxes) -> None:
    made = box("/bin/pwd")
    made.process["cwd"] = "/made/by/the/runtime"
    assert made.out() == "/made/by/the/runtime\n"
    assert (made.rootfs / "made/by/the/runtime").stat().st_uid == 0


def test_a_working_directory_through_a_link_stays_inside(box: Boxes, folder: Path) -> None:
    made = box("/bin/pwd")
    os.symlink("/elsewhere", made.rootfs / "link")
    (made.rootfs / "elsewhere").mkdir()
    made.process["cwd"] = "/link"
    assert made.out() == "/elsewhere\n"


def test_a_working_directory_that_is_a_file_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.process["cwd"] = "/etc/passwd"
    made.run(check=False).failed("not a directory")


def test_a_relative_working_directory_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.process["cwd"] = "tmp"
    made.run(check=False).failed("absolute")


def test_a_working_directory_only_the_user_can_enter(box: Boxes) -> None:
    made = box("/bin/pwd")
    (made.rootfs / "private").mkdir(mode=0o700)
    os.chown(made.rootfs / "private", 1000, 1000)
    made.process.update(cwd="/private", user={"uid": 1000, "gid": 1000})
    made.capabilities()
    assert made.out() == "/private\n"


# -- user


def test_uid_gid_and_groups(box: Boxes) -> None:
    made = box.sh("id -u; id -g; id -G")
    made.process["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [50, 7, 4321]}
    uid, gid, groups = made.out().splitlines()
    assert (uid, gid) == ("1000", "1001")
    assert set(groups.split()) == {"1001", "50", "7", "4321"}


def test_all_four_ids_are_set(box: Boxes) -> None:
    made = box()
    made.process["user"] = {"uid": 1000, "gid": 1001}
    found = show_status(made)
    assert found["Uid"].split() == ["1000"] * 4
    assert found["Gid"].split() == ["1001"] * 4


def test_groups_of_the_caller_are_dropped(box: Boxes) -> None:
    made = box()
    assert show_status(made)["Groups"].split() in ([], ["0"])
    found = made.run(extra_groups=[7, 8])
    assert status_lines(found.out)["Groups"].split() in ([], ["0"])


@pytest.mark.parametrize("user_namespace", [False, True])
def test_groups_of_the_caller_are_kept_on_request(box: Boxes, folder: Path, user_namespace: bool) -> None:
    """A group of the caller's opens what the container's own ids do not."""
    (folder / "volume").mkdir(mode=0o750)
    (folder / "volume/file").write_text("content\n")
    os.chown(folder / "volume", 0, 4321)
    made = box("/bin/cat", "/volume/file")
    made.config["annotations"] = {"run.oci.keep_original_groups": "1"}
    made.process["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [50]}
    made.capabilities()
    made.mount("/volume", "bind", str(folder / "volume"), "bind")
    if user_namespace:
        made.user_namespace()
    assert made.out(extra_groups=[4321]) == "content\n"
    made.args("/bin/sleep", "1000").launch(extra_groups=[4321])
    groups = made.exec("/bin/grep", "Groups", "/proc/self/status", extra_groups=[4321, 4322]).out.split()[1:]
    assert groups == (["65534", "65534"] if user_namespace else ["4321", "4322"])
    assert made.exec("/bin/cat", "/volume/file", check=False).rc != 0


@pytest.mark.parametrize("umask", [0o022, 0o077, 0, 0o777])
def test_umask(box: Boxes, umask: int) -> None:
    made = box.sh("umask")
    made.process["user"]["umask"] = umask
    assert int(made.out(), 8) == umask


def test_umask_by_default(box: Boxes) -> None:
    assert int(box.sh("umask").out(umask=0o077), 8) == 0o022


def test_a_user_without_privileges_has_none(box: Boxes) -> None:
    made = box()
    made.process["user"] = {"uid": 1000, "gid": 1000}
    found = show_status(made)
    assert int(found["CapEff"], 16) == 0
    assert int(found["CapPrm"], 16) == 0
    assert int(found["CapBnd"], 16) != 0


# -- capabilities


def bits(*names: str) -> int:
    """The mask of capabilities by name."""
    numbers = {
        "CAP_CHOWN": 0,
        "CAP_KILL": 5,
        "CAP_NET_BIND_SERVICE": 10,
        "CAP_NET_ADMIN": 12,
        "CAP_SYS_ADMIN": 21,
    }
    return sum(1 << numbers[name] for name in names)


def test_the_five_sets(box: Boxes) -> None:
    made = box("/bin/cat", "/proc/self/status")
    made.process["capabilities"] = {
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_KILL"],
        "effective": ["CAP_CHOWN", "CAP_KILL"],
        "ambient": ["CAP_KILL"],
    }
    made.process["user"] = {"uid": 1000, "gid": 1000}
    found = capability_sets(made.out())
    assert found["CapBnd"] == bits("CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN")
    assert found["CapInh"] == bits("CAP_KILL")
    assert found["CapAmb"] == bits("CAP_KILL")
    assert found["CapEff"] == bits("CAP_KILL")  # across exec a user keeps the ambient ones only


def test_the_bounding_set_limits_root(box: Boxes) -> None:
    made = box("/bin/cat", "/proc/self/status")
    made.capabilities("CAP_CHOWN", "CAP_KILL")
    found = capability_sets(made.out())
    mask = bits("CAP_CHOWN", "CAP_KILL")
    assert [found[name] for name in ("CapPrm", "CapEff", "CapBnd")] == [mask] * 3
    assert found["CapInh"] == found["CapAmb"] == 0


def test_empty_sets_leave_nothing(box: Boxes) -> None:
    made = box("/bin/cat", "/proc/self/status")
    made.capabilities()
    assert capability_sets(made.out()) == dict.fromkeys(ALL_SETS, 0)


def test_an_unknown_capability_is_no_reason_to_fail(box: Boxes) -> None:
    """config.md: a value that can't be mapped is to be logged, and ignored."""
    made = box("/bin/cat", "/proc/self/status")
    made.capabilities("CAP_CHOWN", "CAP_FROM_THE_FUTURE")
    assert capability_sets(made.out())["CapBnd"] == bits("CAP_CHOWN")


def test_ambient_capabilities_that_can_not_be_raised(box: Boxes) -> None:
    """Only what is permitted and inheritable can be ambient; runc's words."""
    made = box("/bin/cat", "/proc/self/status")
    made.process["capabilities"] = {
        "bounding": ["CAP_CHOWN", "CAP_KILL"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_CHOWN", "CAP_KILL"],
    }
    found = made.run()
    assert "can't raise ambient capability CAP_CHOWN: operation not permitted" in found.err
    assert "CAP_KILL" not in found.err
    assert capability_sets(found.out)["CapAmb"] == bits("CAP_KILL")


@pytest.mark.parametrize("uid", [0, 1000])
def test_ambient_capabilities_of_an_older_engine(box: Boxes, uid: int) -> None:
    """They make all ambient and none inheritable: without effect for root, which hears nothing of it; one line for others."""
    made = box("/bin/cat", "/proc/self/status")
    made.process["user"] = {"uid": uid, "gid": uid}
    made.process["capabilities"] = {
        key: ["CAP_CHOWN", "CAP_KILL"] for key in ("bounding", "permitted", "ambient")
    }
    found = made.run()
    assert capability_sets(found.out)["CapAmb"] == 0
    lines = [
        line
        for line in found.err.splitlines()
        if "can't raise ambient capability CAP_CHOWN, CAP_KILL: " in line
    ]
    assert len(lines) == (1 if uid else 0), found.err


def test_a_capability_we_do_not_have_is_no_reason_to_fail(box: Boxes) -> None:
    """config.md: a value that can't be granted is to be logged, and ignored."""
    if machine.has_capability("CAP_SYS_RESOURCE"):
        pytest.skip("root has every capability here")
    made = box("/bin/cat", "/proc/self/status")
    made.capabilities("CAP_CHOWN", "CAP_SYS_RESOURCE")
    found = capability_sets(made.out())
    assert found["CapBnd"] == found["CapEff"] == bits("CAP_CHOWN")


# -- privileges, scores, limits


@pytest.mark.parametrize("value", [True, False])
def test_no_new_privileges(box: Boxes, value: bool) -> None:
    made = box()
    made.process["noNewPrivileges"] = value
    assert show_status(made)["NoNewPrivs"] == str(int(value))


def test_oom_score_adjustment(box: Boxes) -> None:
    made = box("/bin/cat", "/proc/self/oom_score_adj")
    made.process["oomScoreAdj"] = 500
    assert made.out() == "500\n"


def test_without_an_oom_score_the_callers_stays(box: Boxes) -> None:
    made = box("/bin/cat", "/proc/self/oom_score_adj")
    assert "oomScoreAdj" not in made.process

    def raised() -> None:
        Path("/proc/self/oom_score_adj").write_text("77")

    assert made.out(preexec_fn=raised) == "77\n"


def test_resource_limits(box: Boxes) -> None:
    machine.need_hard_limit(resource.RLIMIT_NOFILE, 200, "RLIMIT_NOFILE")
    made = box.sh("cat /proc/self/limits")
    made.process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_STACK", "soft": 1 << 20, "hard": 1 << 23},
        {"type": "RLIMIT_CPU", "soft": 1000, "hard": 2000},
    ]
    text = made.out()
    assert re.search(r"^Max open files +100 +200 ", text, re.MULTILINE)
    assert re.search(r"^Max core file size +0 +0 ", text, re.MULTILINE)
    assert re.search(r"^Max stack size +1048576 +8388608 ", text, re.MULTILINE)
    assert re.search(r"^Max cpu time +1000 +2000 ", text, re.MULTILINE)


@pytest.mark.parametrize("more", [0, -1, 1], ids=["equal", "below", "above"])
@pytest.mark.parametrize("soft", [0, -1], ids=["both", "soft below"])
def test_descriptors_around_the_callers_hard_limit(box: Boxes, more: int, soft: int) -> None:
    """As runc's tests have it, for run and exec alike."""
    own = resource.getrlimit(resource.RLIMIT_NOFILE)
    if more > 0 and not machine.has_capability("CAP_SYS_RESOURCE"):
        pytest.skip("root has no CAP_SYS_RESOURCE here; in the virtual machine it has")
    hard = min(own[1], 1000)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    made = box.sh("ulimit -Sn; ulimit -Hn; exec sleep 1000")
    made.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": hard + more + soft, "hard": hard + more}]
    said = made.stream()
    made.create(stdout=said, preexec_fn=limited)
    made.start()
    wanted = f"{hard + more + soft}\n{hard + more}\n"
    assert said.until(wanted.splitlines()[-1]).strip() == wanted.strip()
    assert made.exec("/bin/sh", "-c", "ulimit -Sn; ulimit -Hn", preexec_fn=limited).out == wanted


def test_descriptors_of_a_created_container(box: Boxes, folder: Path) -> None:
    """Its init waits with standard files, the fifo of start and what was asked for, and nothing else."""
    if box().runtime.kind != "pyoci":
        pytest.skip("the descriptors of a waiting init are each runtime's own")
    made = box("/bin/sleep", "1000")
    given = folder / "given"
    given.write_text("")
    with given.open() as file:
        made.create("--preserve-fds", "1", pass_fds=(3,), preexec_fn=lambda: os.dup2(file.fileno(), 3))
    found = {
        int(each): os.readlink(f"/proc/{made.pid}/fd/{each}") for each in os.listdir(f"/proc/{made.pid}/fd")
    }
    assert sorted(found)[:4] == [0, 1, 2, 3] and found[3] == str(given)
    rest = sorted(link.rpartition("/")[2] for fd, link in found.items() if fd > 3)
    assert rest == ["failure", "start"]


def test_unlimited_limits(box: Boxes) -> None:
    if resource.getrlimit(resource.RLIMIT_FSIZE)[1] != resource.RLIM_INFINITY:
        pytest.skip("RLIMIT_FSIZE is limited here")
    made = box.sh("cat /proc/self/limits")
    made.process["rlimits"] = [{"type": "RLIMIT_FSIZE", "soft": (1 << 64) - 1, "hard": (1 << 64) - 1}]
    assert re.search(r"^Max file size +unlimited +unlimited ", made.out(), re.MULTILINE)


def test_hard_limits_of_a_user_namespace_are_raised_by_the_privilege_outside(box: Boxes) -> None:
    """As with podman --userns: its default limits are above those of a service."""
    if not machine.has_capability("CAP_SYS_RESOURCE"):
        pytest.skip("root has no CAP_SYS_RESOURCE here; in the virtual machine it has")

    def lowered() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))

    made = box.sh("ulimit -n; ulimit -f; sleep 1000")
    made.user_namespace()
    made.process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 700, "hard": 900},
        {"type": "RLIMIT_FSIZE", "soft": (1 << 64) - 1, "hard": (1 << 64) - 1},
    ]
    out = made.stream()
    made.create(stdout=out, preexec_fn=lowered)
    made.start()
    assert out.until("unlimited").startswith("700\n")
    found = made.exec("sh", "-c", "ulimit -Hn", preexec_fn=lowered)
    assert found.ok().out == "900\n"


def test_limits_too_low_for_the_runtime_itself(box: Boxes) -> None:
    made = box.sh("ulimit -n; ulimit -v")
    made.process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 4, "hard": 4},
        {"type": "RLIMIT_AS", "soft": 8 << 20, "hard": 8 << 20},
    ]
    assert made.out() == "4\n8192\n"


def test_a_limit_above_the_hard_limit_is_refused_by_name(box: Boxes) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if machine.has_capability("CAP_SYS_RESOURCE") or hard == resource.RLIM_INFINITY:
        pytest.skip("root can raise limits here")
    made = box("/bin/true")
    made.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": hard + 1, "hard": hard + 1}]
    found = made.run(check=False).failed("not permitted")
    if made.runtime.kind == "pyoci":
        found.failed("RLIMIT_NOFILE")


def test_a_limit_given_twice_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}] * 2
    made.run(check=False).failed("RLIMIT_CORE")


def test_an_unknown_limit_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.process["rlimits"] = [{"type": "RLIMIT_NONSENSE", "soft": 0, "hard": 0}]
    made.run(check=False).failed("RLIMIT_NONSENSE")


def test_a_soft_limit_above_the_hard_one_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.process["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]
    made.run(check=False).failed()


def test_the_flags_of_the_process(box: Boxes, programs: Programs) -> None:
    made = box()
    made.args(made.put(programs.path("probe")), "flags")
    assert made.out().splitlines() == [
        "dumpable 1",
        "no_new_privs 0",
        "pdeathsig 0",
        "subreaper 0",
        "keepcaps 0",
        "securebits 0",
        "umask 0022",
    ]


def test_the_schedule_of_the_process_is_the_ordinary_one(box: Boxes, programs: Programs) -> None:
    made = box()
    made.args(made.put(programs.path("probe")), "schedule")
    assert made.out().splitlines()[:3] == ["policy 0", "priority 0", f"nice {os.nice(0)}"]


DEADLINE = {"policy": "SCHED_DEADLINE", "nice": 19, "runtime": 42000, "deadline": 1000000, "period": 1000000}


def policy_of(pid: int) -> int:
    """The scheduling policy, with the flag of resetting it for children."""
    return os.sched_getscheduler(pid)


@pytest.mark.parametrize("confined", [False, True], ids=["", "a caller on one processor"])
def test_a_deadline_needs_all_processors(box: Boxes, confined: bool) -> None:
    """The kernel grants it to a process that may run on all of them, which is so wherever our caller is."""
    made = box("/bin/sleep", "1000")
    made.process["scheduler"] = DEADLINE | {"flags": ["SCHED_FLAG_RESET_ON_FORK"]}
    made.launch(preexec_fn=(lambda: os.sched_setaffinity(0, {0})) if confined else None)
    assert policy_of(made.pid) == 6 | os.SCHED_RESET_ON_FORK


def test_a_deadline_and_a_cpuset_do_not_go_together(box: Boxes) -> None:
    machine.need_controller("cpuset")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two processors")
    made = box("/bin/true")
    made.linux["resources"] = {"cpu": {"cpus": "0", "mems": "0"}}
    made.process["scheduler"] = DEADLINE
    made.run(check=False).failed(
        "process scheduler can't be used together with AllowedCPUs", "omit linux.resources.cpu.cpus"
    )
    made.process["scheduler"] = {"policy": "SCHED_BATCH"}
    made.args("/bin/sleep", "1000").launch()
    assert policy_of(made.pid) == os.SCHED_BATCH


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="asks for the name of a 32-bit x86")
def test_personality(box: Boxes) -> None:
    made = box("/bin/uname", "-m")
    made.linux["personality"] = {"domain": "LINUX32"}
    assert made.out() == "i686\n"
    made.args("/bin/sleep", "1000").launch()
    assert made.exec("/bin/uname", "-m").out == "i686\n"
    plain = box("/bin/uname", "-m")
    plain.linux["personality"] = {"domain": "LINUX"}
    found = plain.run(preexec_fn=lambda: machine.LIBC.personality(8))
    assert found.out == "x86_64\n", "not the caller's"


# -- sysctl


def test_sysctl_in_the_namespaces_of_the_container(box: Boxes) -> None:
    made = box.sh(
        "cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced"
    )
    made.linux["sysctl"] = {
        "kernel.msgmax": "9000",
        "net.ipv4.ip_forward": "1",
        "kernel/shm_rmid_forced": "1",
    }
    host = Path("/proc/sys/kernel/msgmax").read_text()
    assert made.out().split() == ["9000", "1", "1"]
    assert Path("/proc/sys/kernel/msgmax").read_text() == host


def test_sysctl_of_the_host_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.linux["sysctl"] = {"vm.swappiness": Path("/proc/sys/vm/swappiness").read_text().strip()}
    made.run(check=False).failed("vm.swappiness")


def test_sysctl_of_a_namespace_the_container_shares_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.no_namespace("network")
    made.linux["sysctl"] = {"net.ipv4.ip_forward": Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()}
    made.run(check=False).failed("net.ipv4.ip_forward")


def test_sysctl_that_does_not_exist_is_refused(box: Boxes) -> None:
    made = box("/bin/true")
    made.linux["sysctl"] = {"net.no_such_thing": "1"}
    made.run(check=False).failed("no_such_thing", "no such file")


def test_sysctl_names_do_not_leave_proc_sys(box: Boxes) -> None:
    made = box("/bin/true")
    made.linux["sysctl"] = {"net/../../self/oom_score_adj": "500"}
    made.run(check=False).failed()


@pytest.mark.only("pyoci")
def test_the_oom_score_is_the_container_s_alone(box: Boxes, folder: Path) -> None:
    """Until its execve the init shares the runtime's memory, and the kernel gives the score to all who do."""
    own = Path("/proc/self/oom_score_adj").read_text()
    made = box("/bin/cat", "/proc/self/oom_score_adj")
    made.user_namespace()
    made.process["oomScoreAdj"] = 555
    script = f"cat /proc/self/oom_score_adj /proc/$PPID/oom_score_adj > {folder}/score"
    made.config["hooks"] = {
        kind: [{"path": "/bin/sh", "args": ["sh", "-c", script]}] for kind in ("createRuntime", "poststart")
    }
    assert made.out() == "555\n"
    assert (folder / "score").read_text() == own + own
