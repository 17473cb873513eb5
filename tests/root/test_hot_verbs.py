"""The hot verbs with real containers, in a Python that has nothing but its core: none of them needs or imports more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness.box import Container
from harness.boxes import Boxes
from unit import hot

from pyoci._shim import lib

pytestmark = [pytest.mark.only("pyoci")]
BODY = "from pyoci.base.context import Context\nfrom pyoci.cli import entry\nstatus = entry.main(Context(), argv)"
# What a verb that makes no process has no use for.
HEAVY = {
    *("_ops", "plan", "seccomp", "trace", "spec.check", "spec.bundle", "lifecycle.create", "init.process"),
    *("host.spawn", "userns.idmap"),
}


class Verbs:
    """Calls the runtime's verbs in such a Python, on one container."""

    def __init__(self, made: Container, folder: Path) -> None:
        self.made = made
        self.folder = folder
        self.out = ""

    def __call__(self, verb: str, *arguments: str, status: int = 0) -> set[str]:
        """The modules of the package that a verb imported; all others it may not import."""
        self.made.save()
        argv = ["--root", str(self.made.runtime.root), verb, *arguments]
        found, modules, ended = hot.run(BODY, self.folder, argv)
        self.out = ended.stdout.decode()
        assert found == status, ended.stderr.decode()
        assert not hot.foreign(modules), verb
        return {name.partition(".")[2] for name in modules if name.startswith("pyoci.")}

    def light(self, verb: str, *arguments: str) -> None:
        """A verb that imports little."""
        found = self(verb, *arguments)
        assert not (found | {name.partition(".")[0] for name in found}) & HEAVY, verb


@pytest.fixture
def verbs(box: Boxes, folder: Path) -> Verbs:
    made = box("/bin/sleep", "100")
    made.process["noNewPrivileges"] = True
    made.linux["resources"] = {"pids": {"limit": 100}, "memory": {"limit": 64 << 20}}
    made.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}],
    }
    return Verbs(made, folder)


def test_a_whole_life(verbs: Verbs, folder: Path) -> None:
    made = verbs.made
    verbs("create", "--bundle", str(made.directory), "--pid-file", str(folder / "pid"), made.id)
    made.expected = True
    verbs.light("state", made.id)
    assert '"status": "created"' in verbs.out
    verbs.light("start", made.id)
    verbs("exec", made.id, "/bin/echo", "from inside")
    assert verbs.out == "from inside\n"
    verbs("exec", "--detach", "--pid-file", str(folder / "more"), made.id, "/bin/true")
    assert made.wait_for(int((folder / "more").read_text())) == 0
    verbs.light("kill", made.id, "KILL")
    assert made.wait_for(int((folder / "pid").read_text())) == 128 + 9
    verbs("delete", made.id)
    made.expected = False


@pytest.mark.parametrize("status", [0, 3])
def test_run(verbs: Verbs, status: int) -> None:
    verbs.made.sh(f"echo out; exit {status}")
    verbs("run", "--bundle", str(verbs.made.directory), verbs.made.id, status=status)
    assert verbs.out == "out\n"


def test_user_namespace_with_hooks_and_a_trace(verbs: Verbs, folder: Path) -> None:
    made = verbs.made
    made.sh("echo out")
    made.user_namespace()
    hook = [{"path": "/bin/true"}]
    made.config["hooks"] = {
        "createRuntime": hook,
        "createContainer": hook,
        "poststart": hook,
        "poststop": hook,
    }
    used = verbs("run", "--bundle", str(made.directory), "--trace", str(folder / "t"), made.id)
    assert {"userns.idmap", "host.hooks", "trace.recorder", "base.spans"} <= used
    assert verbs.out == "out\n"


def test_what_tracing_needs_is_imported_for_it_only(verbs: Verbs) -> None:
    verbs.made.sh("exit 0")
    assert "trace" not in verbs("run", "--bundle", str(verbs.made.directory), verbs.made.id)


def test_what_landlock_needs_is_imported_for_it_only(verbs: Verbs) -> None:
    made, needed = verbs.made, {"spec.landlock", "plan.landlock"}
    made.sh("exit 0")
    made.config["annotations"] = {"org.example": "{}"}
    assert not needed & verbs("run", "--bundle", str(made.directory), made.id)
    if lib.pyoci_landlock_abi() < 5:
        pytest.skip("the kernel has no Landlock of ABI 5")
    rules = '{"paths": [{"path": "/bin", "allow": ["read", "execute"]}]}'
    made.config["annotations"] = {"org.pyoci.landlock": rules}
    assert needed <= verbs("run", "--bundle", str(made.directory), made.id)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda made: made.mount("/bad", "tmpfs", "tmpfs", "nonsense=1"),
        lambda made: made.args("/missing"),
        lambda made: made.config.update(hooks={"createRuntime": [{"path": "/bin/false"}]}),
        lambda made: made.config.update(annotations={"org.pyoci.landlock": '{"tcp": {"bind": [-1]}}'}),
        lambda made: made.config.update(annotations={"org.pyoci.landlock": '{"paths": []}'}),
        lambda made: made.process.update(rlimits=[{"type": "RLIMIT_NOFILE", "soft": 9, "hard": 1 << 40}]),
    ],
    ids=["mount", "program", "hook", "rule", "rules", "limit"],
)
def test_failures_are_worded_without_more(verbs: Verbs, spoil: Any) -> None:
    spoil(verbs.made)
    verbs("create", "--bundle", str(verbs.made.directory), verbs.made.id, status=1)
    assert not verbs.made.runtime.exists(verbs.made.id)


def test_refusals(verbs: Verbs) -> None:
    for verb in ("start", "state", "kill", "delete"):
        verbs(verb, "missing", status=1)
    verbs("exec", "missing", "true", status=255)
