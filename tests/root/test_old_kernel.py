"""Linux 5.14, the oldest kernel that pyoci supports: everything works without the calls and flags that later ones brought.

`PYOCI_TEST_OLD_KERNEL=1` runs every other test so; here stand those that must never be left out.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness import old_kernel
from harness.boxes import Boxes
from harness.bpf import ALLOW, Filter
from harness.runtime import Runtime

pytestmark = pytest.mark.only("pyoci")


@pytest.fixture(autouse=True)
def every_call_sees_linux_5_14(runtime: Runtime) -> None:
    reason = old_kernel.why_not()
    if reason:
        pytest.skip(reason)
    runtime.old_kernel = True


def test_the_filter_refuses_what_is_newer_and_nothing_else() -> None:
    answer = Filter(old_kernel.program())
    assert answer(old_kernel.LAST_CALL) == ALLOW
    assert answer(old_kernel.LAST_CALL + 1) & 0xFFFF == errno.ENOSYS
    for number, argument, flags, number_of_error in old_kernel.FLAGS.values():
        for bit in (1 << place for place in range(32) if flags >> place & 1):
            arguments = [0] * 6
            arguments[argument] = bit
            assert answer(number, arguments) & 0xFFFF == number_of_error
        arguments[argument] = ~flags & 0xFFFFFFFF
        assert answer(number, arguments) == ALLOW


def test_the_filter_is_in_force_in_the_runtime() -> None:
    ask = f"import os\ntry: os.memfd_create('x', {old_kernel.MFD_EXEC})\nexcept OSError as error: print(error.errno)"
    said = subprocess.run(
        [sys.executable, "-c", ask], preexec_fn=old_kernel.enter, capture_output=True, text=True, check=True
    )
    assert int(said.stdout) == errno.EINVAL


def test_every_verb(box: Boxes) -> None:
    made = box.sh("trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done")
    made.create()
    call = made.runtime.call
    assert call("state", made.id).ok().json()["status"] == "created"
    call("start", made.id).ok()
    assert call("exec", made.id, "/bin/echo", "inside").ok().out == "inside\n"
    assert call("ps", made.id).ok().lines()
    call("pause", made.id).ok()
    call("resume", made.id).ok()
    call("update", "--pids-limit", "100", made.id).ok()
    call("kill", made.id, "KILL").ok()
    made.wait()
    assert call("list", "--quiet").ok().lines() == [made.id]
    call("delete", made.id).ok()
    made.expected = False


def test_a_user_namespace_with_binds_and_a_read_only_root(box: Boxes, folder: Path) -> None:
    shared = folder / "shared"
    shared.mkdir()
    (shared / "file").write_text("from the host\n")
    os.chmod(folder, 0o755)
    made = box("/bin/cat", "/shared/file")
    made.user_namespace()
    made.mount("/shared", "bind", str(shared), "rbind", "rro")
    made.config["root"]["readonly"] = True
    assert made.out() == "from the host\n"


def test_a_seccomp_filter(box: Boxes) -> None:
    made = box("/bin/mkdir", "/made")
    made.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXDEV}],
    }
    assert "cross-device" in made.run(check=False).err.lower()


def test_a_newer_flag_of_seccomp_is_refused_with_its_kernel(box: Boxes) -> None:
    made = box("/bin/true")
    made.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EDOM}],
    }
    made.run(check=False).failed("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "5.19")
