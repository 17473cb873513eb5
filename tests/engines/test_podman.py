"""podman on the runtime: what its users see of pods, secrets, updates, notifications and limits."""

from __future__ import annotations

import json
import re
import shlex
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from harness import machine
from harness.engines import Podman, until

BOX = "localhost/box"
NO_NETWORK = ("--network", "none")

POD = """
apiVersion: v1
kind: Pod
metadata: {name: kube}
spec:
  hostname: kubehost
  restartPolicy: Never
  volumes:
  - {name: empty, emptyDir: {}}
  initContainers:
  - {name: first, image: localhost/box, command: [sh, -c, "echo from-init > /v/f"], volumeMounts: [{name: empty, mountPath: /v}]}
  containers:
  - name: one
    image: localhost/box
    command: [sh, -c, "cat /v/f; id -u; grep CapEff /proc/self/status; touch /x; exec sleep 7000"]
    volumeMounts: [{name: empty, mountPath: /v}]
    securityContext: {runAsUser: 1000, readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""


@pytest.fixture
def name(podman: Podman, request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for the container of a test, which is removed after it."""
    yield "box"
    podman("rm", "-f", "-t", "0", "--ignore", "box")


@pytest.fixture
def start(podman: Podman, name: str) -> Callable[..., str]:
    """Start a container that sleeps, with these options; return its name."""

    def run(*options: str) -> str:
        podman("run", "-d", "--name", name, "--cgroup-parent", f"/{podman.tag}", *NO_NETWORK, *options, BOX)
        return name

    return run


def run_once(podman: Podman, *args: str) -> str:
    """What a container printed that is removed at its end."""
    return podman("run", "--rm", "--cgroup-parent", f"/{podman.tag}", *NO_NETWORK, *args)


def test_the_engine_knows_version_and_features(podman: Podman) -> None:
    info = json.loads(podman("info", "--format", "json"))["host"]["ociRuntime"]
    assert info["path"] == str(podman.runtime)
    lines = info["version"].splitlines()
    assert any(line.startswith("commit: ") for line in lines) and any(
        line.startswith("spec: ") for line in lines
    )


def need_pods(podman: Podman) -> None:
    if podman.version < 5 and machine.cgroup_version() == 2:
        pytest.skip(
            "pods of podman 4 with cgroupfs deny all devices on cgroup v2: they start with no runtime"
        )


def test_containers_of_a_pod_share_what_the_pod_shares(podman: Podman) -> None:
    need_pods(podman)
    parent = ("--cgroup-parent", f"/{podman.tag}")
    podman("pod", "create", "--name", "pod", *parent, *NO_NETWORK, "--share", "net,ipc,uts,pid")
    try:
        for name in ("a", "b"):
            podman("run", "-d", "--pod", "pod", "--name", name, BOX)
        namespaces = [
            podman(
                "exec",
                name,
                "sh",
                "-c",
                "cd /proc/self/ns; for n in net ipc uts pid mnt; do readlink $n; done",
            ).splitlines()
            for name in ("a", "b")
        ]
        assert namespaces[0][:4] == namespaces[1][:4] and namespaces[0][4] != namespaces[1][4]
        podman("pod", "pause", "pod")
        assert podman("inspect", "-f", "{{.State.Status}}", "a") == "paused"
        podman("pod", "unpause", "pod")
        podman("pod", "stop", "-t", "1", "pod")
        podman("pod", "start", "pod")
        assert "sleep" in podman("pod", "top", "pod")
    finally:
        podman("pod", "rm", "-f", "-t", "0", "pod")


def test_a_run_may_make_its_pod(podman: Podman) -> None:
    """Its infra container has a read-only /dev that mounts and nodes are still to be made in."""
    need_pods(podman)
    try:
        made = podman("run", "--rm", "--pod", "new:fresh", "--read-only", *NO_NETWORK, BOX, "echo", "hello")
        assert made.endswith("hello")
    finally:
        podman("pod", "rm", "-f", "-t", "0", "fresh")


def test_kube_play(podman: Podman) -> None:
    need_pods(podman)
    podman("kube", "play", *NO_NETWORK, "-", input=POD)
    try:
        until("the container's lines", lambda: "Read-only" in podman("logs", "kube-one"))
        lines = podman("logs", "kube-one").splitlines()
        assert lines[:2] == ["from-init", "1000"] and lines[2].endswith("0000000000000000"), lines
        assert podman("exec", "kube-one", "hostname") == "kubehost"
    finally:
        podman("pod", "rm", "-f", "-t", "0", "kube")


def test_read_only_without_writable_places(podman: Podman) -> None:
    script = (
        "for d in / /dev /tmp /run /dev/shm; do touch $d/x 2>/dev/null && echo writable $d; done; echo end"
    )
    printed = run_once(podman, "--read-only", "--read-only-tmpfs=false", BOX, "sh", "-c", script)
    # Before version 5 podman leaves /dev and /dev/shm writable
    writable = {"end"} if podman.version >= 5 else {"end", "writable /dev", "writable /dev/shm"}
    assert set(printed.splitlines()) <= writable and "writable /" not in printed.splitlines()


def test_limits_of_a_running_container_change(podman: Podman, start: Callable[..., str]) -> None:
    name = start("--memory", "128m")
    podman("update", "--cpus", "1.5", "--cpuset-cpus", "0", "--memory", "64m", name)
    files = (
        "cpu.max cpuset.cpus memory.max"
        if machine.cgroup_version() == 2
        else "cpu/cpu.cfs_quota_us cpuset/cpuset.cpus memory/memory.limit_in_bytes"
    )
    values = podman("exec", name, "sh", "-c", f"cd /sys/fs/cgroup; cat {files}").split()
    assert [value for value in values if value != "100000"] == ["150000", "0", "67108864"]
    assert podman("stats", "--no-stream", "--format", "{{.Name}} {{.PIDS}}", name) == f"{name} 1"


def test_a_memory_limit_below_a_page_says_so(podman: Podman) -> None:
    ended = podman.call("run", "--rm", *NO_NETWORK, "-m", "1k", BOX, "true")
    assert ended.returncode != 0
    assert re.search(
        "the limit is below one page of memory|unable to set memory limit to 1024|memory limit too low",
        ended.stdout,
    )


def test_a_container_killed_for_memory_is_known_as_such(podman: Podman, name: str) -> None:
    grow = "x=$(head -c 50000000 /dev/zero | tr '\\0' a)"
    limits = ("-m", "16m", "--memory-swap", "16m", "--cgroup-parent", f"/{podman.tag}")
    assert podman.call("run", "--name", name, *limits, *NO_NETWORK, BOX, "sh", "-c", grow).returncode == 137
    if podman.version >= 5:  # its conmon sees the event before the cgroup goes
        until("OOMKilled", lambda: podman("inspect", "-f", "{{.State.OOMKilled}}", name) == "true")


def test_secrets_as_file_and_as_variable(podman: Podman) -> None:
    podman("secret", "create", "secret", "-", input="hidden")
    try:
        options = ("--secret", "secret", "--secret", "secret,type=env,target=S")
        assert (
            run_once(podman, *options, BOX, "sh", "-c", "cat /run/secrets/secret; echo $S") == "hiddenhidden"
        )
    finally:
        podman("secret", "rm", "secret")


def test_a_container_may_notify_the_service_manager(podman: Podman) -> None:
    if not Path("/usr/bin/python3").exists():
        pytest.skip("no /usr/bin/python3 to send a datagram with")
    path = podman.folder / "notify"
    # Debian's busybox sends no datagrams to Unix sockets: the host's Python does
    script = (
        "import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
        "s.sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])"
    )
    volumes = [f"--volume={top}:{top}:ro" for top in ("/usr", "/lib", "/lib64")]
    told = []
    podman.environment["NOTIFY_SOCKET"] = str(path)
    try:
        for command in (["true"], ["/usr/bin/python3", "-c", script]):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
                listener.bind(str(path))
                run_once(podman, "--sdnotify=container", *volumes, BOX, *command)
                path.unlink()
                told.append(queued(listener))
    finally:
        del podman.environment["NOTIFY_SOCKET"]
    assert "READY=1" not in told[0] and "READY=1" in told[1], told


def queued(listener: socket.socket) -> list[str]:
    """The lines that were sent to a socket until now."""
    listener.setblocking(False)
    lines: list[str] = []
    with suppress(BlockingIOError):
        while True:
            lines += listener.recv(4096).decode().splitlines()
    return lines


@pytest.mark.parametrize(("mode", "sizes"), [("auto", range(1024, 1 << 20)), ("auto:size=5000", [5000])])
def test_a_user_namespace_that_podman_chooses(podman: Podman, mode: str, sizes: Collection[int]) -> None:
    inside, outside, size = run_once(podman, f"--userns={mode}", BOX, "cat", "/proc/self/uid_map").split()
    assert inside == "0" and int(outside) > 0 and int(size) in sizes


def test_systemd_has_the_places_it_wants(podman: Podman) -> None:
    script = "mount; echo $container"
    printed = run_once(podman, "--systemd=always", BOX, "sh", "-c", script)
    for place in ("/run", "/run/lock", "/tmp"):
        assert f"tmpfs on {place} type tmpfs (rw" in printed
    assert printed.endswith(("podman", "oci"))


def test_a_paused_container_can_be_removed(podman: Podman, start: Callable[..., str]) -> None:
    name = start()
    pid = podman("inspect", "-f", "{{.State.Pid}}", name)
    podman("pause", name)
    assert podman.frozen(pid) and podman.call("exec", name, "true").returncode != 0
    podman("unpause", name)
    assert not podman.frozen(pid) and podman("exec", name, "echo", "on") == "on"
    podman("pause", name)
    podman("rm", "-f", "-t", "0", name)
    assert podman.call("container", "exists", name).returncode == 1


def test_attach_has_all_streams(podman: Podman, name: str) -> None:
    script = "read word; echo out $word; echo error $word >&2; exit 5"
    own = ("--cgroup-parent", f"/{podman.tag}", *NO_NETWORK)
    podman("run", "-d", "-i", "--name", name, *own, BOX, "sh", "-c", script)
    assert set(podman("attach", name, input="given\n").split("\n")) >= {"out given", "error given"}
    assert podman("wait", name) == "5"


def test_events_tell_the_life_of_a_container(podman: Podman, start: Callable[..., str]) -> None:
    name = start()
    key, since = podman("inspect", "-f", "{{.Id}} {{.Created.Unix}}", name).split()
    podman("exec", name, "true")
    podman("kill", name)
    podman("wait", name)
    events = (
        "events",
        "--since",
        since,
        "--stream=false",
        "--filter",
        f"container={key}",
        "--format",
        "{{.Status}}",
    )
    until("the last event", lambda: "died" in podman(*events))
    told = podman(*events).splitlines()
    order = [told.index(word) for word in ("create", "start", "exec", "died")]
    assert order == sorted(order) and "kill" in told, told


def test_a_descriptor_that_is_kept_for_an_exec(podman: Podman, start: Callable[..., str]) -> None:

    name = start()
    (podman.folder / "line").write_text("through")
    call = shlex.join([*podman.command, "exec", "--preserve-fds", "1", name, "sh", "-c", "cat <&3"])
    assert podman.shell(f"exec 3<line; {call}") == "through"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--workdir", "/etc/passwd"), "not a directory"),
        (("--entrypoint", "/no/such"), "no such file or directory"),
        (("--entrypoint", "/etc"), "(permission denied|is a directory)"),
    ],
)
def test_what_podman_says_of_a_bad_start(podman: Podman, options: tuple[str, ...], words: str) -> None:
    ended = podman.call("run", "--rm", *NO_NETWORK, *options, BOX, "true")
    assert ended.returncode in (126, 127) and re.search(words, ended.stdout.lower()), ended.stdout


def test_nothing_is_left(podman: Podman) -> None:
    podman("pod", "rm", "-fa", "-t", "0")
    podman("rm", "-fa", "-t", "0")
    assert (
        podman.shell(
            "cat /run/runc/*/state.json /run/pyoci/*/state.json /run/crun/*/status 2>/dev/null || true"
        )
        == ""
    )
