"""The runtime's own binaries, descriptors and directories stay out of reach; privileges are as asked for."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.box import Container, Stream
from harness.boxes import Boxes
from harness.programs import Programs
from harness.race import Race
from harness.runtime import Runtime
from harness.terminal import ConsoleSocket

DESCRIPTORS = range(3, 31)


# -- CVE-2019-5736: the runtime's binary, reached through /proc/self/exe


def binaries(runtime: Runtime) -> list[Path]:
    """The files the runtime consists of: launcher, interpreter, package."""
    found = [Path(os.path.realpath(runtime.path)), Path(os.path.realpath(sys.executable))]
    if runtime.kind == "pyoci":
        for folder in sorted(
            Path(os.path.realpath(runtime.path)).parent.parent.glob("lib/python3*/site-packages/pyoci")
        ):
            found += [
                path
                for path in sorted(folder.rglob("*"))
                if path.is_file() and "__pycache__" not in path.parts
            ]
    return found


def digest(paths: list[Path]) -> dict[str, str]:
    """Content and mode of files."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() + oct(path.stat().st_mode) for path in paths
    }


@pytest.mark.parametrize(
    "args", [["/proc/self/exe"], ["/proc/self/exe", "--version"], ["/proc/1/exe", "init"]]
)
def test_proc_self_exe_as_the_program(box: Boxes, args: list[str]) -> None:
    made = box(*args)
    before = digest(binaries(made.runtime))
    found = made.run(check=False, timeout=60)
    assert "version" not in found.out
    assert digest(binaries(made.runtime)) == before


@pytest.mark.parametrize("line", ["#!/proc/self/exe\n", "#!/proc/self/exe --version\n", "#!/proc/1/exe\n"])
def test_proc_self_exe_as_the_interpreter(box: Boxes, line: str) -> None:
    made = box("/script")
    made.file("script", line, 0o755)
    found = made.run(check=False, timeout=60)
    assert "version" not in found.out


@pytest.mark.parametrize(
    "target", ["/proc/self/exe", "/proc/self/fd/3", "/proc/self/fd/5", "/proc/self/fd/7"]
)
def test_a_link_to_proc_self_as_the_program(box: Boxes, target: str) -> None:
    made = box("/link")
    os.symlink(target, made.rootfs / "link")
    found = made.run(check=False, timeout=60)
    assert "version" not in found.out


def test_exec_of_proc_self_exe(box: Boxes) -> None:
    made = box("/bin/sleep", "1000").launch()
    for words in (["/proc/self/exe", "--version"], ["/proc/self/fd/3"], ["/proc/self/fd/6"]):
        found = made.exec(*words, check=False)
        assert "version" not in found.out


def spying(made: Container, programs: Programs, seconds: int) -> Stream:
    """Start a root process inside that tries to get hold of everything it sees of other processes."""
    made.args(made.put(programs.path("grab")), str(seconds))
    made.capabilities(*made.process["capabilities"]["bounding"], "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH")
    said = made.stream()
    made.launch(stdout=said)
    said.until("ready")
    return said


def seen(said: Stream) -> set[str]:
    """What the spy found, at its end."""
    return set(said.rest().splitlines()) - {"ready", "done"}


def test_a_process_inside_can_not_grab_what_exec_holds(box: Boxes, programs: Programs) -> None:
    """Neither files nor folders of the host nor the runtime's memory are within reach while commands are executed."""
    made = box()
    before = digest(binaries(made.runtime))
    said = spying(made, programs, 2)
    count = 0
    while made.status == "running" and count < 200:
        made.exec("/bin/true", check=False)
        count += 1
    found = seen(said)
    made.wait()
    assert count > 0
    assert digest(binaries(made.runtime)) == before
    assert found == set()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: it holds the runtime up")
def test_a_process_inside_can_not_grab_a_runtime_that_is_held_up(box: Boxes, programs: Programs) -> None:
    """The same with each exec of a program delayed: the moments in between are long enough to be seen."""
    made = box()
    said = spying(made, programs, 5)
    argv = ["strace", "-f", "-o", "/dev/null", "-e", "inject=execve,execveat:delay_enter=150000"]
    for _ in range(3):
        subprocess.run(
            [*argv, *made.runtime.argv("exec", made.id, "/bin/true")], stdin=subprocess.DEVNULL, check=False
        )
    made.wait()
    assert seen(said) == set()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: it holds the runtime up")
def test_a_process_of_the_pod_grabs_no_program_of_a_create_that_is_held_up(
    box: Boxes, programs: Programs
) -> None:
    """A second container joins the pid namespace in which the spy lives.

    Until pivot_root(2) its root and descriptors are the host's, which root with CAP_SYS_PTRACE can follow: SECURITY.md, "Known
    limits". The runtime's programs and memory, and files that can be written, are not among them.
    """
    first = box()
    said = spying(first, programs, 4)
    second = box("/bin/true")
    second.namespace("pid", f"/proc/{first.first}/ns/pid")
    second.process["env"] = [
        "PATH=/bin",
        "HOME=/",
    ]  # else the init reads /etc/passwd, a file of the second container
    second.save()
    argv = ["strace", "-f", "-o", "/dev/null", "-e", "inject=execve,execveat:delay_enter=150000"]
    command = [*argv, *second.runtime.argv("run", "-b", str(second.directory), second.id)]
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
    first.wait()
    assert [found for found in seen(said) if not found.startswith("outside by ")] == []


@pytest.mark.only("pyoci")
def test_the_waiting_process_runs_from_a_sealed_copy_in_memory(box: Boxes) -> None:
    made = box("/bin/true")
    made.create()
    exe = f"/proc/{made.pid}/exe"
    assert os.readlink(exe).startswith("/memfd:")
    with pytest.raises(OSError):
        os.close(os.open(exe, os.O_WRONLY))
    maps = Path(f"/proc/{made.pid}/maps").read_text()
    assert not re.search(r"\.so|python", maps)


# -- CVE-2024-21626: a working directory that is a descriptor of the runtime


def leads_out(text: str) -> bool:
    """True when `pwd -P; ls /` of a program shows that it's outside its root."""
    return "(unreachable)" in text or "pyoci-canary" in text


@pytest.mark.parametrize("descriptor", DESCRIPTORS)
def test_a_working_directory_that_is_a_descriptor(box: Boxes, descriptor: int) -> None:
    made = box.sh("pwd; ls -a . ; ls ../../../../../../etc | head -n 50")
    made.process["cwd"] = f"/proc/self/fd/{descriptor}"
    found = made.run(check=False)
    assert not leads_out(found.out)
    assert "hostname" not in found.out.split()


def test_a_link_to_a_descriptor_as_working_directory(box: Boxes) -> None:
    made = box.sh("pwd; ls ../../../../../../etc")
    for descriptor in DESCRIPTORS:
        os.symlink(f"/proc/self/fd/{descriptor}", made.rootfs / f"link{descriptor}")
    for descriptor in DESCRIPTORS:
        made.process["cwd"] = f"/link{descriptor}"
        found = made.run(check=False)
        assert not leads_out(found.out)
        assert "hostname" not in found.out.split()


def test_exec_with_a_working_directory_that_is_a_descriptor(box: Boxes) -> None:
    made = box("/bin/sleep", "1000").launch()
    for descriptor in DESCRIPTORS:
        found = made.exec(
            "/bin/sh",
            "-c",
            "pwd; ls ../../../../../../etc",
            options=("--cwd", f"/proc/self/fd/{descriptor}"),
            check=False,
        )
        assert not leads_out(found.out)
        assert "hostname" not in found.out.split()


HOSTILE = """
cd /dev && rm null && ln -s /etc/group null && rm zero && mkfifo zero
rm /etc/passwd && mkfifo /etc/passwd
for i in $(seq 3 30); do ln -s /proc/self/fd/$i /link$i; done
ln -s /proc/self/exe /exe && ln -s /proc/1/exe /first
echo ready; exec sleep 1000
"""


@pytest.mark.only("pyoci")  # runc 1.1.5 waits for ever for the fifo
def test_exec_where_the_container_has_replaced_what_it_uses(box: Boxes, folder: Path) -> None:
    """/dev/null, passwd(5), the directory and the program of an exec are whatever the container made of them."""
    said = (made := box.sh(HOSTILE)).stream()
    made.launch(stdout=said)
    said.until("ready")
    look = ("/bin/sh", "-c", "pwd; ls -a . ../../../../../../etc; echo $HOME; ls /proc/self/fd | wc -l")
    leaked = [os.open(folder, os.O_RDONLY) for _ in range(8)]
    try:
        for number in DESCRIPTORS:
            options = ("--user", "1000", "--cwd", f"/link{number}")
            found = made.exec(*look, options=options, check=False, pass_fds=leaked, timeout=60)
            assert (
                not leads_out(found.out)
                and "bundle0" not in found.out
                and "hostname" not in found.out.split()
            )
        for program in ("/exe", "/first", "/link3", "/link7"):
            assert (
                "version" not in made.exec(program, "--version", check=False, pass_fds=leaked, timeout=60).out
            )
        assert made.exec(*look, options=("--user", "1000"), timeout=60).lines()[-2:] == ["/", "4"]
    finally:
        for number in leaked:
            os.close(number)
    made.stop()


FAKES = {
    "a link": "ln -s /dev/zero /dev/pts/ptmx",
    "a fifo": "mkfifo /dev/pts/ptmx",
    "a file": "echo > /dev/pts/ptmx",
    "a node elsewhere": "mkdir /dev/pts/pts && mknod /dev/pts/ptmx c 5 2",
    "nothing": "true",
    "a node beside a devpts": "mkdir /dev/pts/pts && mount -t devpts x /dev/pts/pts && mknod /dev/pts/ptmx c 5 2",
}


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("fake", list(FAKES))
def test_exec_takes_no_terminal_from_what_is_no_devpts(box: Boxes, folder: Path, fake: str) -> None:
    """CVE-2025-52565: a container that may mount puts something else where terminals come from."""
    made = box.sh(
        f"umount /dev/pts && mount -t tmpfs x /dev/pts && {FAKES[fake]}; echo ready; exec sleep 1000"
    )
    made.capabilities("CAP_SYS_ADMIN", "CAP_MKNOD", "CAP_KILL")
    said = made.stream()
    made.launch(stdout=said)
    said.until("ready")
    console = ConsoleSocket(folder / "console.sock")
    options = ("--tty", "--detach", "--console-socket", str(console.path))
    found = made.exec("/bin/sh", options=options, check=False, timeout=60)
    assert found.rc == 255 and "/dev/pts" in found.err and console.nothing_came()
    console.close()
    made.stop()


def test_a_working_directory_inherited_from_the_caller_is_not_the_hosts(box: Boxes, folder: Path) -> None:
    """The caller has a directory open at every low number, as leaky engines do."""
    opened = [os.open(folder, os.O_RDONLY) for _ in range(20)]
    try:
        for descriptor in (3, 7, 12, opened[0], opened[-1]):
            made = box.sh("pwd; ls")
            made.process["cwd"] = f"/proc/self/fd/{descriptor}"
            found = made.run(check=False, pass_fds=opened)
            assert "canary" not in found.out and "bundle0" not in found.out
    finally:
        for descriptor in opened:
            os.close(descriptor)


def test_a_directory_that_is_passed_on_is_no_working_directory(box: Boxes, folder: Path) -> None:
    """The caller may hand a directory of the host to the program; the working directory is inside all the same."""
    made = box.sh("pwd; ls")
    made.process["cwd"] = "/proc/self/fd/3"
    (folder / "pyoci-canary").touch()
    directory = os.open(folder, os.O_RDONLY)
    try:
        words = ("--preserve-fds", "1")
        found = made.run(*words, check=False, close_fds=False, preexec_fn=lambda: os.dup2(directory, 3))
    finally:
        os.close(directory)
    assert found.rc != 0 and not leads_out(found.out)


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_no_descriptor_is_open_while_the_program_is_executed(box: Boxes, verb: str) -> None:
    """CVE-2024-21626: close-on-exec comes too late for an interpreter that the kernel looks up through /proc/self/fd."""
    made = box("/bin/sleep", "1000")
    below = ("bin/sh", "self/root/bin/sh", "../bin/sh", "../../../../../../bin/sh")
    paths = [f"{descriptor}/{path}" for descriptor in range(3, 16) for path in below]
    for number, path in enumerate(paths):
        made.file(f"script{number}", f"#!/proc/self/fd/{path}\necho reached\n", 0o755)
    if verb == "exec":
        made.launch()
    for number in range(len(paths)):
        program = f"/script{number}"
        found = made.exec(program, check=False) if verb == "exec" else made.args(program).run(check=False)
        assert "reached" not in found.out


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("name, error", [("start", "no such file"), ("failure", "permission denied")])
def test_what_the_init_waited_with_is_closed_before_the_program_is_executed(
    box: Boxes, name: str, error: str
) -> None:
    """The same for the fifo of `start`. The other one is open until execve(2) itself closes it, for that means success."""
    made = box("/script")
    script = made.file("script", "#!/bin/sh\n", 0o755)
    made.create()
    waiting = {os.path.basename(os.readlink(fd)): fd.name for fd in Path(f"/proc/{made.pid}/fd").iterdir()}
    script.write_text(f"#!/proc/self/fd/{waiting[name]}\n")
    made.start(check=False).failed(error)


def test_no_descriptor_leads_out(box: Boxes, programs: Programs) -> None:
    made = box.sh(
        "ls /proc/self/fd | wc -l; for i in 3 4 5 6 7 8 9 10 11 12; do ls /proc/self/fd/$i/ 2>/dev/null; done; true"
    )
    lines = made.out().splitlines()
    assert lines == ["4"]  # three streams and the directory that ls reads


# -- CVE-2022-29162 and -27650: capabilities of run and exec


def capability_lines(text: str) -> dict[str, int]:
    """The sets in a /proc/PID/status."""
    found = re.findall(r"^(Cap\w+):\s+(\w+)$", text, re.MULTILINE)
    return {name: int(value, 16) for name, value in found}


def test_nothing_is_inheritable_after_run(box: Boxes) -> None:
    sets = capability_lines(box("/bin/cat", "/proc/self/status").out())
    assert (sets["CapInh"], sets["CapAmb"]) == (0, 0)
    assert sets["CapBnd"] != 0


@pytest.mark.parametrize("user", ["0", "1000"])
def test_nothing_is_inheritable_after_exec_cap(box: Boxes, user: str) -> None:
    made = box("/bin/sleep", "1000").launch()
    found = made.exec("/bin/cat", "/proc/self/status", options=("--cap", "CAP_NET_RAW", "--user", user))
    sets = capability_lines(found.out)
    assert (sets["CapInh"], sets["CapAmb"]) == (0, 0)


def test_exec_as_a_user_that_is_a_number(box: Boxes) -> None:
    """CVE-2026-30892: "1" was taken for root by a parser of another text."""
    made = box("/bin/sleep", "1000").launch()
    words = ("/bin/sh", "-c", "id -u; id -g")
    for text, found in (
        ("1", "1\n0\n"),
        ("1:2", "1\n2\n"),
        ("10:0", "10\n0\n"),
        ("4294967294", "4294967294\n0\n"),
    ):
        assert made.exec(*words, options=("--user", text)).out == found
    if made.runtime.kind == "pyoci":
        for text in (
            "",
            ":",
            "1:",
            ":1",
            "-1",
            "+1",
            "01x",
            "0x1",
            "1 ",
            "1.0",
            "4294967295",
            "root",
            "1:root",
            "\u0661",
        ):
            found = made.exec(*words, options=(f"--user={text}",), check=False).out if text else ""
            assert found == ""


def test_without_capabilities_the_bounding_set_is_empty(box: Boxes) -> None:
    """youki#3434: leaving `capabilities` out must not mean having all of them within reach."""
    made = box("/bin/cat", "/proc/self/status")
    del made.process["capabilities"]
    assert set(capability_lines(made.out()).values()) == {0}


def test_exec_without_capabilities_has_none_either(box: Boxes) -> None:
    made = box("/bin/sleep", "1000")
    del made.process["capabilities"]
    made.launch()
    assert set(capability_lines(made.exec("/bin/cat", "/proc/self/status").out).values()) == {0}


@pytest.mark.parametrize("user", [False, True])
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed: it starts the runtime")
def test_nothing_comes_from_the_groups_and_capabilities_of_the_caller(box: Boxes, user: bool) -> None:
    made = box("/bin/sleep", "1000")
    if user:
        made.user_namespace()
    made.save()
    raised = ["setpriv", "--groups=4242,4243", "--inh-caps=+net_raw,+net_admin", "--ambient-caps=+net_raw"]
    command = made.runtime.argv("create", "-b", str(made.directory), made.id)
    subprocess.run([*raised, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
    made.expected, made.first = True, made.pid
    waiting = Path(f"/proc/{made.pid}/status").read_text()
    made.start()
    command = made.runtime.argv("exec", made.id, "/bin/cat", "/proc/self/status", "/proc/1/status")
    found = subprocess.run([*raised, *command], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    texts = [*found.stdout.decode().split("Name:")[1:], *([waiting] if made.runtime.kind == "pyoci" else [])]
    for text in texts:
        sets = capability_lines(text)
        assert (sets["CapInh"], sets["CapAmb"]) == (0, 0)
        assert re.findall(r"^Groups:[ \t]*(.*?)[ \t]*$", text, re.MULTILINE) == [""]
    made.stop()


# -- CVE-2021-43784: sizes beyond what a protocol's fields hold


def test_very_many_mounts(box: Boxes, folder: Path) -> None:
    """More than 64 KiB of mounts: none of them is lost or cut."""
    (folder / "volume").mkdir()
    made = box.sh("grep -c ' /volumes/' /proc/self/mountinfo")
    for number in range(600):
        made.mount(f"/volumes/{number}-{'x' * 100}", "bind", str(folder / "volume"), "bind", "ro")
    assert made.out() == "600\n"


def test_very_long_strings(box: Boxes) -> None:
    made = box.sh("echo ${#LONG} ${#1}")
    made.process["args"] += ["sh", "x" * 100000]
    made.process["env"].append("LONG=" + "y" * 100000)
    made.config["annotations"] = {"long": "z" * 1000000}
    assert made.out() == "100000 100000\n"


def test_a_config_that_nests_very_deep_is_no_crash(box: Boxes) -> None:
    made = box("/bin/true")
    made.save()
    text = json.dumps(made.config)
    deep = '{"a":' * 100000 + "1" + "}" * 100000
    (made.directory / "config.json").write_text(text[:-1] + f', "deep": {deep}}}')
    found = made.runtime.call("run", "-b", str(made.directory), made.id)
    assert found.rc in (0, 1)
    assert "Traceback" not in found.err


@pytest.mark.only("pyoci")
@pytest.mark.parametrize("text", ["\\ud800", "\\udc80", "\\uDFFF", "\\u0000", "a\\u0000b"])
def test_a_text_that_no_system_call_can_take_is_refused(box: Boxes, text: str) -> None:
    """Half of a surrogate pair, and a NUL: neither cut nor written as something else, and no crash."""
    made = box("/bin/echo", "TEXT")
    made.save()
    config = (made.directory / "config.json").read_text()
    (made.directory / "config.json").write_text(config.replace("TEXT", text))
    (made.directory / "process.json").write_text(json.dumps(made.process).replace("TEXT", text))
    found = made.runtime.call("run", "-b", str(made.directory), made.id)
    assert found.rc == 1 and ("surrogate" in found.err or "NUL" in found.err)
    assert "this is a bug" not in found.err
    made.args("/bin/sleep", "1000").launch()
    found = made.exec(options=("--process", str(made.directory / "process.json")), check=False)
    assert found.rc == 255 and "this is a bug" not in found.err


# -- what a container must not see or change of the host


@pytest.mark.only("pyoci")  # runc 1.1.5 makes the user of the process their owner
@pytest.mark.parametrize("verb", ["create", "exec"])
def test_a_file_given_for_reading_is_not_given_away(box: Boxes, folder: Path, verb: str) -> None:
    """As its owner the program could open it once more, for writing; and change the modes of a device of the host."""
    (folder / "input").write_text("as it was\n")
    (folder / "input").chmod(0o600)
    os.mknod(folder / "zero", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    script = "echo changed > /proc/self/fd/0; chmod 666 /proc/self/fd/0 /proc/self/fd/2"
    for source in (folder / "input", folder / "zero"):
        made = box.sh(script) if verb == "create" else box("/bin/sleep", "1000")
        made.process["user"] = {"uid": 1000, "gid": 1000}
        before = source.stat()
        with open(source) as given, open(folder / "zero", "w") as device:
            if verb == "create":
                made.launch(stdin=given, stderr=device)
                made.wait()
            else:
                made.launch().exec("/bin/sh", "-c", script, check=False, stdin=given, stderr=device)
        assert (before.st_mode, before.st_uid) == (source.stat().st_mode, source.stat().st_uid)
        assert (folder / "zero").stat().st_uid == 0
    assert (folder / "input").read_text() == "as it was\n"


def test_sysfs_and_proc_sys_of_the_host_are_read_only_for_engines_configs(box: Boxes) -> None:
    made = box.sh("echo x > /proc/sys/kernel/core_pattern; echo x > /proc/sys/kernel/hostname; true")
    made.linux["readonlyPaths"] = ["/proc/sys", "/proc/sysrq-trigger"]
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    found = made.run()
    assert found.err.count("Read-only file system") == 2
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


CGROUPS = """
for i in $(find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs); do
    (echo 0 > $i) 2>/dev/null && echo joined $i
    mkdir ${i%/*}/new 2>/dev/null && echo made ${i%/*}/new
    (mount -o remount,bind,rw ${i%/*} && mkdir ${i%/*}/new) 2>/dev/null && echo remounted ${i%/*}
done; echo done
"""


@pytest.mark.parametrize("cgroup", ["new", "the host's"])
@pytest.mark.parametrize("user", [False, True])
def test_cgroups_can_not_be_written(box: Boxes, cgroup: str, user: bool) -> None:
    """CVE-2023-25809: without a cgroup namespace, and with a user namespace, the mount was the host's, writable."""
    made = box.sh(CGROUPS)
    made.namespace("cgroup") if cgroup == "new" else made.no_namespace("cgroup")
    if user:
        made.user_namespace()
        made.capabilities("CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE")
    if "/sys/fs/cgroup" not in [mount["destination"] for mount in made.mounts]:
        made.mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro", "nosuid", "nodev", "noexec")
    assert made.out() == "done\n"


@pytest.fixture
def hosts_mount(folder: Path) -> Iterator[str]:
    """The name of a mount that the host has."""
    name = f"pyoci-{folder.name}-of-the-host"
    (folder / "mounted").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", name, folder / "mounted"], check=True)
    yield name
    subprocess.run(["umount", folder / "mounted"], check=True)


def test_the_old_root_is_gone(box: Boxes, hosts_mount: str) -> None:
    """No mount of the host's is left in the table, nor anything over "/" where a process that joins would find itself."""
    made = box("/bin/sleep", "1000")
    made.capabilities("CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_KILL")
    made.launch()
    assert hosts_mount in Path("/proc/self/mountinfo").read_text()
    table = Path(f"/proc/{made.pid}/mountinfo").read_text()
    assert hosts_mount not in table
    assert [line.split()[4] for line in table.splitlines()].count("/") == 1
    assert hosts_mount not in made.exec("/bin/cat", "/proc/self/mountinfo").out
    assert sorted(made.exec("/bin/ls", "/").lines()) == sorted(os.listdir(made.rootfs))
    made.stop()


def test_a_process_with_chroot_rights_stays_inside(box: Boxes) -> None:
    """The classic way out of a chroot finds the container's root, as the root was pivoted."""
    made = box.sh("mkdir -p /tmp/jail && chroot /tmp/jail /x 2>/dev/null; cd ../../../../../..; ls; pwd")
    made.capabilities("CAP_SYS_CHROOT", "CAP_DAC_OVERRIDE")
    assert sorted(made.out().split()) == sorted([*os.listdir(made.rootfs), "/"])


def test_no_environment_of_the_runtime_is_left_in_the_first_process(box: Boxes) -> None:
    made = box("/bin/true")
    made.create(env={"SECRET_TOKEN": "abc", "PATH": "/bin"})
    assert (
        b"SECRET_TOKEN" not in Path(f"/proc/{made.pid}/environ").read_bytes() or made.runtime.kind != "pyoci"
    )


MODULES = (
    "_cffi_backend",
    "_struct",
    "argparse",
    "cffi",
    "encodings",
    "json",
    "os",
    "posix",
    "pyoci",
    "site",
)


@pytest.mark.only("pyoci")
def test_python_takes_nothing_from_the_bundle_and_the_environment(box: Boxes, folder: Path) -> None:
    """Engines call with the bundle as working directory; what lies there, and what variables name, is not ours to run."""
    made = box("/bin/true")
    made.save()
    here, ran = made.directory, folder / "ran"
    packages = here / ".local/lib" / f"python3.{sys.version_info[1]}/site-packages"
    packages.mkdir(parents=True)
    for name in (*MODULES, "sitecustomize", "usercustomize"):
        for directory in (here, packages):
            (directory / f"{name}.py").write_text(f"open({str(ran)!r}, 'w')\n")
    (packages / "x.pth").write_text(f"import os; open({str(ran)!r}, 'w')\n")
    (here / "pyvenv.cfg").write_text(f"home = {here}\n")
    names = "HOME TMPDIR XDG_RUNTIME_DIR XDG_CACHE_HOME GCONV_PATH LOCPATH PYTHONHOME PYTHONPATH PYTHONPYCACHEPREFIX"
    environment = dict.fromkeys(names.split(), str(here))
    environment.update(PATH=f"{here}:", LD_LIBRARY_PATH=f":{here}::.", PYTHONUSERBASE=str(here / ".local"))
    environment.update(PYTHONSTARTUP=str(here / "os.py"), PYTHONINSPECT="1", PYTHONBREAKPOINT="os.x")
    before = sorted(os.listdir(here))
    for words in (["run", made.id], ["validate", "."], ["list"], ["plan", "."], ["--version", "--verbose"]):
        found = subprocess.run(
            made.runtime.argv(*words),
            cwd=here,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        assert (found.returncode, found.stderr) == (0, b"")
    assert not ran.exists()
    assert sorted(os.listdir(here)) == before


def test_the_state_directory_is_for_its_owner_only(box: Boxes) -> None:
    made = box("/bin/true")
    made.create()
    root = made.runtime.root
    assert root is not None
    for path in [root, *root.rglob("*")]:
        if path.is_dir() or path.is_file():
            assert path.stat().st_mode & 0o022 == 0, path
            assert path.stat().st_uid == 0, path


@pytest.fixture
def canary(folder: Path) -> Path:
    """A folder of the host that no container may see or change."""
    made = folder / "host"
    (made / "deep").mkdir(parents=True)
    (made / "pyoci-canary").write_text("canary\n")
    return made


def untouched(canary: Path) -> None:
    """Assert that nothing was added to the canary."""
    assert sorted(str(path.relative_to(canary)) for path in canary.rglob("*")) == ["deep", "pyoci-canary"]
    assert (canary / "pyoci-canary").read_text() == "canary\n"


def test_race_on_a_mount_destination(box: Boxes, programs: Programs, folder: Path, canary: Path) -> None:
    """CVE-2021-30465, CVE-2024-45310: a shared volume whose folder turns into a link between check and use."""
    volume = folder / "volume"
    (volume / "real").mkdir(parents=True)
    os.symlink("/".join([".."] * 12) + str(canary), volume / "link")
    made = box.sh(
        "ls /volume/real /volume/real/deep 2>/dev/null; cat /volume/real/pyoci-canary 2>/dev/null; true"
    )
    made.mount("/volume", "bind", str(volume), "rbind")
    made.mount("/volume/real/deep/new", "tmpfs", "tmpfs")
    texts = Race(programs, made, volume, "real", "link").run()
    assert not any("canary" in text for text in texts)
    untouched(canary)


def test_race_on_a_masked_path(box: Boxes, programs: Programs, folder: Path, canary: Path) -> None:
    """The masked and the read-only path of a shared volume."""
    volume = folder / "volume"
    (volume / "real").mkdir(parents=True)
    os.symlink("/".join([".."] * 12) + str(canary), volume / "link")
    made = box.sh("cat /volume/*/pyoci-canary 2>/dev/null; true")
    made.mount("/volume", "bind", str(volume), "rbind")
    made.linux["maskedPaths"] = ["/volume/real", "/volume/real/pyoci-canary"]
    made.linux["readonlyPaths"] = ["/volume/real/deep"]
    texts = Race(programs, made, volume, "real", "link").run()
    assert not any("canary" in text for text in texts)
    untouched(canary)


def test_masks_stay_on_a_proc_whose_directory_is_renamed(box: Boxes) -> None:
    """Whoever shares the root filesystem renames what is mounted on: the masked paths are not where they were."""
    made = box.sh("wc -c < /other/cpuinfo; ls /other/fs | wc -l; echo x > /other/sys/kernel/hostname; true")
    script = f"cd {made.rootfs} && mv proc other && mkdir proc"
    made.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}
    made.linux["maskedPaths"] = ["/proc/cpuinfo", "/proc/fs"]
    made.linux["readonlyPaths"] = ["/proc/sys"]
    found = made.run()
    assert found.lines() == ["0", "0"]
    assert "Read-only file system" in found.err


def test_masked_directories_take_nothing(box: Boxes) -> None:
    """They share one file system: what one container process writes into it would show in all of them."""
    made = box.sh(
        "for i in /proc/fs /sys/fs; do touch $i/new; mkdir $i/deep; done; ls /proc/fs /sys/fs; true"
    )
    made.linux["maskedPaths"] = ["/proc/fs", "/sys/fs"]
    found = made.run()
    assert found.err.count("Read-only file system") == 4
    assert "new" not in found.out and "deep" not in found.out


def test_race_on_masked_paths_of_proc(box: Boxes, programs: Programs) -> None:
    made = box.sh("ls /proc/self >/dev/null 2>&1 && wc -c < /proc/cpuinfo; true")
    (made.rootfs / "other").mkdir()
    made.linux["maskedPaths"] = ["/proc/cpuinfo"]
    texts = Race(programs, made, made.rootfs, "proc", "other").run()
    assert set(texts) <= {"", "0\n"}


def test_race_on_proc(box: Boxes, programs: Programs, canary: Path, folder: Path) -> None:
    """CVE-2025-52881: /proc of a shared root filesystem, exchanged for a link while sysctls are written."""
    made = box.sh("echo ran")
    (canary / "sys/net/ipv4").mkdir(parents=True)
    (canary / "sys/net/ipv4/ip_forward").write_text("canary\n")
    os.symlink("/".join([".."] * 12) + str(canary), made.rootfs / "procs")
    made.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    made.process["oomScoreAdj"] = 100
    Race(programs, made, made.rootfs, "proc", "procs").run()
    assert (canary / "sys/net/ipv4/ip_forward").read_text() == "canary\n"
    assert sorted(os.listdir(canary)) == ["deep", "pyoci-canary", "sys"]


def test_race_on_dev_null(box: Boxes, programs: Programs, canary: Path) -> None:
    """CVE-2025-31133: the container's /dev/null, exchanged for a link while paths are masked with it."""
    made = box.sh("cat /etc/passwd /etc/group; true")
    made.mounts[:] = [mount for mount in made.mounts if not mount["destination"].startswith("/dev")]
    os.mknod(made.rootfs / "dev/null", 0o020666, os.makedev(1, 3))
    os.symlink("/".join([".."] * 12) + str(canary / "pyoci-canary"), made.rootfs / "dev/other")
    made.linux["maskedPaths"] = ["/etc/passwd", "/etc/group"]
    texts = Race(programs, made, made.rootfs / "dev", "null", "other").run()
    assert not any("canary" in text for text in texts)
    untouched(canary)


def test_race_on_the_directory_of_the_devices(box: Boxes, programs: Programs, canary: Path) -> None:
    """CVE-2026-41579 and its kin, as a race: device nodes and links made in a folder that turns into a link."""
    made = box.sh("echo ran")
    made.mounts[:] = [mount for mount in made.mounts if not mount["destination"].startswith("/dev")]
    os.symlink("/".join([".."] * 12) + str(canary), made.rootfs / "other")
    made.linux["devices"] = [
        {"path": "/dev/deep/new", "type": "c", "major": 1, "minor": 3, "uid": 1, "gid": 1}
    ]
    Race(programs, made, made.rootfs, "dev", "other").run()
    untouched(canary)


def test_race_on_the_working_directory(box: Boxes, programs: Programs, canary: Path) -> None:
    made = box.sh("ls; pwd")
    (made.rootfs / "work").mkdir()
    os.symlink("/".join([".."] * 12) + str(canary), made.rootfs / "other")
    made.process["cwd"] = "/work/new"
    texts = Race(programs, made, made.rootfs, "work", "other").run()
    assert not any("canary" in text for text in texts)
    untouched(canary)
