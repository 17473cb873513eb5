"""The life of real containers with shim and init under AddressSanitizer and UBSan: a finding ends the program that has it.

`scripts/sanitize` runs the other suites in this way; here is the short form of it, which runs with all the rest.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.boxes import Boxes
from harness.runtime import Result, Runtime
from harness.terminal import ConsoleSocket
from sanitize import build


@pytest.fixture(scope="session")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command whose C code is built with the sanitizers."""
    reason = build.missing() if os.geteuid() == 0 else "needs root with CAP_SYS_ADMIN"
    if reason:
        pytest.skip(reason)
    return build.runtime(tmp_path_factory.mktemp("sanitized"))


@pytest.fixture
def runtime(runtime: Runtime, sanitized: Path) -> Runtime:
    """The sanitized runtime in place of the one under test."""
    runtime.path = sanitized
    return runtime


@pytest.fixture
def console(folder: Path) -> Iterator[ConsoleSocket]:
    """A listening console socket."""
    made = ConsoleSocket(folder / "console.sock")
    yield made
    made.close()


def clean(result: Result) -> Result:
    """The result, after asserting that no sanitizer has found anything."""
    for finding in build.FINDINGS:
        assert finding not in result.err + result.out, repr(result)
    return result


def rich(box: Boxes, script: str) -> Any:
    """A container that asks for a bit of everything."""
    made = box.sh(script)
    made.file("tmp/up/deep/file", "copied\n")
    made.file("etc/passwd", "root:x:0:0::/root:/bin/sh\nme:x:7:7::/home/me:/bin/sh\n")
    (made.rootfs / "dangling").symlink_to("to/be/made")
    made.mount("/tmp/up", "tmpfs", "tmpfs", "tmpcopyup", "size=1m")
    made.mount("/dangling/file", "bind", "/etc/hostname", "bind", "ro")
    if "\toverlay\n" in Path("/proc/filesystems").read_text():  # a value that takes mount(2)
        made.mount("/old", "overlay", "overlay", f"lowerdir={made.rootfs}/etc{'/.' * 200}:{made.rootfs}/bin")
    made.namespace("cgroup")
    made.config["hooks"] = {
        kind: [
            {"path": "/bin/sh", "args": ["sh", "-c", "cat >/dev/null"], "env": ["PATH=/bin"], "timeout": 20}
        ]
        for kind in ("createRuntime", "createContainer", "startContainer", "poststart", "poststop")
    }
    made.process["user"] = {"uid": 7, "gid": 7, "additionalGids": [8, 9], "umask": 0o27}
    made.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]
    made.process["noNewPrivileges"] = True
    made.process["oomScoreAdj"] = 100
    made.linux["sysctl"] = {"kernel.shm_rmid_forced": "1"}
    made.linux["maskedPaths"] = ["/proc/interrupts", "/sys/firmware", "/proc/acpi", "/none"]
    made.linux["readonlyPaths"] = ["/proc/sys", "/proc/bus"]
    made.linux["devices"] = [
        {"path": "/dev/deep/er/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}
    ]
    made.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["chroot"], "action": "SCMP_ACT_ERRNO"}],
    }
    return made


SCRIPT = "id -u; echo $HOME; umask; cat /tmp/up/deep/file; ls /dev/deep/er; ulimit -n; cat /proc/interrupts"


def test_the_library_is_really_sanitized(sanitized: Path) -> None:
    """All parts: else the tests below show nothing."""
    for name in ("_shim", "_json", "_ops"):
        module = next((sanitized.parents[1] / "pyoci").glob(f"{name}.*.so"))
        assert b"__asan_report_" in module.read_bytes() and b"__ubsan_handle_" in module.read_bytes()
    init = next((sanitized.parents[1] / "build").rglob("init"))
    assert b"AddressSanitizer" in init.read_bytes() and b"__ubsan_handle_" in init.read_bytes()


def test_run(box: Boxes) -> None:
    found = clean(rich(box, SCRIPT).run())
    assert found.lines() == ["7", "/home/me", "0027", "copied", "null", "64"]


def test_a_user_namespace(box: Boxes) -> None:
    made = rich(box, "id -u; cat /proc/self/uid_map")
    made.linux["devices"] = []
    made.user_namespace()
    assert clean(made.run()).lines()[0] == "7"


def test_a_whole_life(box: Boxes) -> None:
    """`exec` executes the init in the container, which is a dynamic program here: its libraries come along."""
    made = rich(box, "while :; do sleep 1; done")
    init = next((made.runtime.path.parents[1] / "build").rglob("init"))
    for library in build.needed_by(init):
        made.mount(str(library), "bind", str(library), "bind", "ro")
    clean(made.create())
    assert made.status == "created"
    clean(made.start())
    assert clean(
        made.exec("sh", "-c", "id -u; umask", options=("--env", "A=1", "--cwd", "/tmp"))
    ).lines() == ["7", "0027"]
    clean(made.exec("/no/such", check=False).failed("no such file"))
    clean(made.kill("KILL"))
    made.wait()
    clean(made.delete())


def test_a_terminal(box: Boxes, console: ConsoleSocket) -> None:
    made = rich(box, "tty; read line; echo got $line")
    made.process["terminal"] = True
    made.process["consoleSize"] = {"width": 99, "height": 33}
    clean(made.create("--console-socket", str(console.path)))
    master = console.receive()
    clean(made.start())
    master.type("text\n")
    master.until("got text")
    made.wait()
    master.close()
    clean(made.delete())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda made: made.args("no-such-program"), "executable file not found"),
        (lambda made: made.args("/etc"), "directory"),
        (lambda made: made.mount("/x", "tmpfs", "tmpfs", "nonsense=1"), "nonsense"),
        (lambda made: made.mount("/x", "bind", "/no/such/source", "bind"), "no such file"),
        (lambda made: made.mount("/etc/passwd/x", "tmpfs", "tmpfs"), "directory"),
        (lambda made: made.process.update(cwd="/proc/self/fd/9"), "chdir"),
        (lambda made: made.config["hooks"].update(createContainer=[{"path": "/bin/false"}]), "hook"),
        (lambda made: made.config["hooks"].update(startContainer=[{"path": "/no/hook"}]), "hook"),
    ],
    ids=["path", "directory", "option", "source", "target", "cwd", "hook", "late-hook"],
)
def test_failures(box: Boxes, change: Any, words: str) -> None:
    made = rich(box, "true")
    change(made)
    clean(made.run(check=False).failed(words))


def test_a_script_without_its_interpreter(box: Boxes) -> None:
    made = rich(box, "true").args("/script")
    made.file("script", f"#!/{'x' * 100}\n", 0o755)
    clean(made.run(check=False).failed("interpreter"))


def test_a_dynamic_program_without_its_linker(box: Boxes) -> None:
    made = rich(box, "true")
    made.args(made.put(Path(str(shutil.which("cat")))))
    clean(made.run(check=False).failed("interpreter"))
