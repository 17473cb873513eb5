"""Kubernetes' interface: containerd's CRI plugin with the runtime as a handler, as a RuntimeClass names it, through crictl."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness.engines import Daemon, make_archive, need, need_asked, opened, until

from pyoci.engine_config.engines import ENGINES, Containerd

BOX = "localhost/box:latest"
# The name that the manifest of the RuntimeClass gives the kubelet, and the kubelet CRI
(HANDLER,) = re.findall(r"^handler: (\S+)$", ENGINES["kubernetes"].text(""), re.MULTILINE)
# The pod shares the host's network, for which containerd needs no plugins
HOST_NETWORK = {"namespace_options": {"network": 2}}


class Cri(Daemon):
    """A containerd with what `pyoci engine-config containerd` prints, but for the default, which is a runtime that fails."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        super().__init__(folder, runtime)
        (folder / "config.toml").write_text(self._configuration())
        endpoint = f"unix://{folder / 'socket'}"
        (folder / "crictl.yaml").write_text(f"runtime-endpoint: {endpoint}\nimage-endpoint: {endpoint}\n")
        self.command = ["crictl", "--config", str(folder / "crictl.yaml"), "--timeout", "60s"]
        self.daemon_command = ["containerd", "-c", str(folder / "config.toml")]

    def start(self) -> None:
        """Import the image where CRI looks for it."""
        super().start()
        archive = make_archive(self.folder, self.layer)
        self.shell(f"ctr -a {self.folder / 'socket'} -n k8s.io images import {archive}")

    def _configuration(self) -> str:
        places = f'root = "{self.folder / "root"}"\nstate = "{self.folder / "state"}"\n'
        told = Containerd().text_of(Containerd.newest(), str(self.runtime))
        default = f"default_runtime_name = {json.dumps(HANDLER)}\n"
        assert default in told
        runtimes = 'plugins."io.containerd.grpc.v1.cri"'
        images = f'sandbox_image = "{BOX}"\n'
        if "version = 3\n" in told:
            runtimes = 'plugins."io.containerd.cri.v1.runtime"'
            images = f'[plugins."io.containerd.cri.v1.images".pinned_images]\nsandbox = "{BOX}"\n'
        fails = f"{runtimes}.containerd.runtimes.fails"
        return (
            places
            + told.replace(default, 'default_runtime_name = "fails"\n')
            + f'[{fails}]\nruntime_type = "io.containerd.runc.v2"\n[{fails}.options]\nBinaryName = "/bin/false"\n'
            + f'[grpc]\naddress = "{self.folder / "socket"}"\n'
            # root of a machine like this one may lack CAP_SYS_RESOURCE, which the pod's -998 takes
            + f"[{runtimes}]\nrestrict_oom_score_adj = true\n"
            + images
        )

    def file(self, name: str, content: dict[str, Any]) -> str:
        """The path of a file that describes a pod or a container."""
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return str(path)

    def pod(self, name: str) -> str:
        """The description of a pod."""
        linux = {"cgroup_parent": f"/{self.tag}", "security_context": HOST_NETWORK}
        metadata = {"name": name, "namespace": "default", "uid": name, "attempt": 1}
        return self.file(name, {"metadata": metadata, "log_directory": str(self.folder), "linux": linux})

    def container(self, name: str, *command: str, **linux: Any) -> str:
        """The description of a container."""
        wanted = {"security_context": HOST_NETWORK} | linux
        content = {
            "metadata": {"name": name},
            "image": {"image": BOX},
            "log_path": f"{name}.log",
            "linux": wanted,
        }
        return self.file(name, content | {"command": list(command)})


@pytest.fixture(scope="module")
def cri(apart: None) -> Iterator[Cri]:
    """A containerd of the module's own."""
    need_asked("containerd")
    need("containerd", "ctr", "crictl")
    yield from opened(Cri)


@pytest.fixture
def start(cri: Cri) -> Iterator[Callable[[str], str]]:
    """Start a pod with the handler; return its id. It is removed after the test."""
    ids: list[str] = []

    def run(name: str) -> str:
        ids.append(cri("runp", "--runtime", HANDLER, cri.pod(name)))
        return ids[-1]

    yield run
    for each in ids:
        cri("rmp", "--force", each)


def test_a_pod_without_the_handler_is_not_ours(cri: Cri) -> None:
    ended = cri.call("runp", cri.pod("default"))
    assert ended.returncode != 0 and "/bin/false" in ended.stdout
    ended = cri.call("runp", "--runtime", "unknown", cri.pod("unknown"))
    assert ended.returncode != 0 and re.search(r"no runtime for \W+unknown", ended.stdout)


def test_the_life_of_a_pod(cri: Cri, start: Callable[[str], str]) -> None:
    pod = start("pod")
    assert json.loads(cri("inspectp", pod))["status"]["runtimeHandler"] == HANDLER
    command = ("sh", "-c", "echo words; trap 'exit 0' TERM; while :; do sleep 0.1; done")
    limits = {"memory_limit_in_bytes": 67108864, "oom_score_adj": 500}
    rights = HOST_NETWORK | {"run_as_user": {"value": 1000}, "readonly_rootfs": True, "no_new_privs": True}
    description = cri.container("box", *command, resources=limits, security_context=rights)
    box = cri("create", pod, description, str(cri.folder / "pod.json"))
    cri("start", box)
    assert cri("exec", "-s", box, "sh", "-c", "id -u; grep NoNewPrivs /proc/self/status").split() == [
        "1000", "NoNewPrivs:", "1"
    ]  # fmt: skip
    failed = cri.call("exec", "-s", box, "touch", "/x")
    assert failed.returncode != 0 and "Read-only file system" in failed.stdout
    until("its output", lambda: cri("logs", box) == "words")
    state = json.loads(cri("inspect", box))
    assert state["status"]["state"] == "CONTAINER_RUNNING" and state["info"]["pid"] > 0
    assert json.loads(cri("stats", "-o", "json", "--id", box))["stats"][0]["attributes"]["id"] == box
    cri("update", "--memory", "134217728", box)
    files = f"cat /sys/fs/cgroup/memory/{cri.tag}/{box}/memory.limit_in_bytes || cat /sys/fs/cgroup/{cri.tag}/{box}/memory.max"
    assert cri.shell(f"({files}) 2>/dev/null") == "134217728"
    cri("stop", "--timeout", "10", box)
    assert json.loads(cri("inspect", box))["status"]["exitCode"] == 0
    cri("rm", box)


def test_run_makes_a_pod_and_a_container(cri: Cri) -> None:
    """`crictl run` with the handler, as the kubelet does it for a pod of one container."""
    box = cri(
        "run",
        "--no-pull",
        "--runtime",
        HANDLER,
        cri.container("one", "sh", "-c", "echo once; exit 7"),
        cri.pod("run"),
    )
    until("its end", lambda: json.loads(cri("inspect", box))["status"]["state"] == "CONTAINER_EXITED")
    status = json.loads(cri("inspect", box))["status"]
    assert (status["exitCode"], cri("logs", box)) == (7, "once")
    cri("rmp", "--force", "--all")
    assert cri("ps", "-aq") == "" and cri("pods", "-q") == ""
    assert cri.shell("ls /run/containerd/runc/k8s.io 2>/dev/null || true") == ""
