"""docker on the runtime: swarm, compose, restarts, health, terminals, updates, namespaces, user maps, live restore, BuildKit."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from harness.engines import PATIENCE, Docker, make_build_context, need, opened, until
from harness.terminal import Master, set_window_size

BOX = "localhost/box"
NO_NETWORK = ("--network", "none")
DOCKERFILE = """
FROM localhost/box AS one
RUN --mount=type=cache,target=/c echo cached > /c/x && cat /c/x
RUN --mount=type=tmpfs,target=/t grep ' /t ' /proc/mounts
RUN --mount=type=bind,source=file,target=/f cat /f
RUN --mount=type=secret,id=s cat /run/secrets/s > /dev/null && echo secret-seen
USER 1000:50
RUN echo user $(id -u):$(id -g); grep Seccomp: /proc/self/status
FROM localhost/box
COPY --from=one /etc/passwd /copied
RUN ls /copied
"""
# `web` needs a second until it serves; `asker` ends if it does not, and is told to end by USR1.
COMPOSE = """
services:
  web:
    image: localhost/box
    command: sh -c "sleep 1; echo served > /tmp/page; exec httpd -f -h /tmp"
    healthcheck: {test: ["CMD", "wget", "-qO-", "http://127.0.0.1/page"], interval: 0.3s, timeout: 5s, retries: 100}
    networks: [inner]
    init: true
    stop_grace_period: 5s
  asker:
    image: localhost/box
    command: sh -c "trap 'exit 3' USR1; wget -qO- http://web/page && while sleep 0.1; do :; done"
    depends_on: {web: {condition: service_healthy}}
    networks: [inner]
    restart: always
    stop_grace_period: 0s
networks:
  inner: {}
"""


@pytest.fixture
def start(docker: Docker) -> Iterator[Callable[..., str]]:
    """Start a container with these options, by default one that sleeps; return its name. They are removed after the test."""
    names: list[str] = []

    def run(*options: str, command: tuple[str, ...] = ()) -> str:
        names.append(f"box{len(names)}")
        docker("run", "-d", "--name", names[-1], *NO_NETWORK, *options, BOX, *command)
        return names[-1]

    yield run
    for name in names:
        docker.call("rm", "-f", name)


def run_once(docker: Docker, *args: str) -> str:
    """What a container without a network printed that is removed at its end."""
    return docker("run", "--rm", *NO_NETWORK, *args)


def inspect(docker: Docker, name: str, what: str) -> str:
    """A part of what docker knows of a container."""
    return docker("inspect", "-f", "{{" + what + "}}", name)


def test_the_engine_knows_the_version(docker: Docker) -> None:
    info = json.loads(docker("info", "--format", "{{json .}}"))
    assert info["DefaultRuntime"] == "tested"
    asked = docker.shell(f"{docker.runtime} --version").splitlines()
    commit = [line.removeprefix("commit: ") for line in asked if line.startswith("commit: ")]
    assert info["RuncCommit"]["ID"] == commit[0]
    assert commit[0] in docker("version")


def test_a_service_of_a_swarm(docker: Docker) -> None:
    docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1")

    def states() -> list[str]:
        lines = docker(
            "service",
            "ps",
            "--filter",
            "desired-state=running",
            "--format",
            "{{.CurrentState}} {{.Image}}",
            "s",
        )
        return [line for line in lines.splitlines() if line.startswith("Running")]

    try:
        docker("tag", BOX, "localhost/second")
        docker(
            "service",
            "create",
            "--name",
            "s",
            "--detach",
            "--no-resolve-image",
            "--replicas",
            "2",
            "--stop-grace-period",
            "1s",
            BOX,
        )
        until("two tasks", lambda: len(states()) == 2)
        docker("service", "scale", "--detach", "s=5")
        until("five tasks", lambda: len(states()) == 5)
        parallel = ("--update-parallelism", "5")
        docker(
            "service",
            "update",
            "--detach",
            "--no-resolve-image",
            *parallel,
            "--image",
            "localhost/second",
            "s",
        )
        until("five new tasks", lambda: sum("second" in state for state in states()) == 5)
        node = docker("node", "ls", "-q")
        docker("node", "update", "--availability", "drain", node)
        until("no task is left on the node", lambda: not states() and not docker("ps", "-q"))
    finally:
        docker("swarm", "leave", "--force")
        until("the tasks are gone", lambda: not docker("ps", "-q"))


def test_a_project_of_compose(docker: Docker) -> None:
    """Two services in a network: the second starts when the first is healthy, is scaled, restarted, and ends by itself."""
    need("docker-compose")
    (docker.folder / "compose.yml").write_text(COMPOSE)

    def compose(command: str) -> str:
        return docker.shell(f"docker-compose --project-name project --file compose.yml {command}")

    def runs(count: int) -> bool:
        """Whether all containers of `asker` run, and have asked so many times."""
        states = {inspect(docker, name, ".State.Status") for name in compose("ps -q asker").split()}
        return states == {"running"} and compose("logs --no-color asker").count("served") == count

    try:
        compose("up -d")
        until("the first answer", lambda: runs(1))
        (first,) = compose("ps -q asker").split()
        assert inspect(docker, first, ".RestartCount") == "0", "it did not wait for the other one's health"
        assert compose("exec -T web cat /tmp/page") == "served"
        assert compose("exec -T web sh -c 'exit 7' || echo status $?").endswith("status 7")
        compose("up -d --scale asker=3")
        until("three of them", lambda: len(compose("ps -q asker").split()) == 3 and runs(3))
        assert first in compose("ps -q asker")
        compose("restart asker")
        until("three new answers", lambda: runs(6))
        compose("exec -T asker kill -USR1 1")
        until("it is started again", lambda: runs(7))
        compose("up -d --scale asker=1")
        assert len(compose("ps -q asker").split()) == 1
    finally:
        compose("down --timeout 1")
    assert docker("ps", "-aq") == "" and "project" not in docker("network", "ls")


def test_a_program_that_ends_is_started_again(docker: Docker, start: Callable[..., str]) -> None:
    name = start("--restart", "on-failure:2", command=("sh", "-c", "exit 3"))
    until(
        "the last try",
        lambda: inspect(docker, name, ".RestartCount .State.Status".replace(" ", "}} {{")) == "2 exited",
    )
    assert inspect(docker, name, ".State.ExitCode") == "3"


@pytest.mark.parametrize(
    ("command", "health"), [("true", "healthy"), ("exit 3", "unhealthy"), ("sleep 777", "unhealthy")]
)
def test_health(docker: Docker, start: Callable[..., str], command: str, health: str) -> None:
    limits = ("--health-interval", "0.3s", "--health-timeout", "5s", "--health-retries", "1")
    if command.startswith("sleep"):
        limits = ("--health-interval", "0.3s", "--health-timeout", "0.5s", "--health-retries", "1")
    name = start("--health-cmd", command, *limits)
    until(health, lambda: inspect(docker, name, ".State.Health.Status") == health)


def test_the_size_of_a_terminal_follows(docker: Docker, start: Callable[..., str]) -> None:
    name = start()
    fd, slave = pty.openpty()
    set_window_size(fd, 30, 100)
    command = docker.inside(*docker.command, "exec", "-it", name, "sh")
    # The client is the one that has the terminal: SIGWINCH comes to the foreground of its session
    client = subprocess.Popen(
        ["setsid", "-c", *command], stdin=slave, stdout=slave, stderr=slave, env=docker.environment
    )
    os.close(slave)
    terminal = Master(fd)
    try:
        size = "stty size; echo en'd'\n"
        until_size(terminal, size, "30 100")
        set_window_size(fd, 50, 132)
        until_size(terminal, size, "50 132")
        terminal.type("exit 7\n")
        terminal.rest()
        assert client.wait(PATIENCE) == 7
    finally:
        client.kill()
        client.wait()
        os.close(fd)


def until_size(terminal: Master, command: str, size: str) -> None:
    """Ask for the terminal's size until it is `size`: the engine passes it on a moment later."""
    end = time.monotonic() + PATIENCE
    while True:
        terminal.data = b""
        terminal.type(command)
        if size in terminal.until("\nend\n"):
            return
        assert time.monotonic() < end, terminal.data


def test_limits_of_a_running_container_change(docker: Docker, start: Callable[..., str]) -> None:
    name = start("--memory", "128m", "--memory-swap", "128m")
    docker(
        "update", "--cpu-quota", "150000", "--cpuset-cpus", "0", "--pids-limit", "99", "--memory", "64m", name
    )
    files = (
        "cd /sys/fs/cgroup; cat cpu/cpu.cfs_quota_us cpuset/cpuset.cpus pids/pids.max memory/memory.limit_in_bytes "
        "|| cat cpu.max cpuset.cpus pids.max memory.max"
    )
    values = docker("exec", name, "sh", "-c", f"({files}) 2>/dev/null").split()
    assert [value for value in values if value != "100000"] == ["150000", "0", "99", "67108864"]
    figures = docker("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.MemUsage}}", name).split()
    assert [*figures[:2], figures[-1]] == [name, "1", "64MiB"]
    assert "sleep 7000" in docker("top", name)


def test_a_paused_container(docker: Docker, start: Callable[..., str]) -> None:
    name = start()
    pid = inspect(docker, name, ".State.Pid")
    docker("pause", name)
    assert docker.frozen(pid) and inspect(docker, name, ".State.Paused") == "true"
    assert docker.call("exec", name, "true").returncode != 0
    docker("unpause", name)
    assert not docker.frozen(pid) and docker("exec", name, "echo", "on") == "on"
    docker("pause", name)
    docker("rm", "-f", name)
    assert docker.call("inspect", name).returncode != 0


def test_events_tell_the_life_of_a_container(docker: Docker, start: Callable[..., str]) -> None:
    name = start()
    docker("exec", name, "true")
    docker("kill", name)
    docker("wait", name)
    since, until_now = inspect(docker, name, ".Created"), str(int(time.time()) + 1)
    options = ("--since", since, "--until", until_now, "--filter", f"container={name}")
    told = [
        line.partition(":")[0] for line in docker("events", *options, "--format", "{{.Action}}").splitlines()
    ]
    order = [
        told.index(word)
        for word in ("create", "start", "exec_create", "exec_start", "exec_die", "kill", "die")
    ]
    assert order == sorted(order), told


def test_an_init_reaps_orphans(docker: Docker, start: Callable[..., str]) -> None:
    name = start("--init", command=("sh", "-c", "(sleep 0.1 &); exec sleep 7000"))
    table = ("exec", name, "ps", "-o", "args")
    until("the orphan is gone", lambda: "sleep 0.1" not in docker(*table).splitlines())
    processes = docker(*table)
    assert "docker-init" in processes and "[sleep]" not in processes


def test_devices_that_are_passed_on(docker: Docker) -> None:
    script = "(: < /dev/other) && echo open; (: > /dev/other) 2>&1; mknod /port c 1 4; cat /port 2>&1; true"
    options = ("--device", "/dev/loop-control:/dev/other:r", "--cap-add", "MKNOD")
    lines = run_once(docker, *options, BOX, "sh", "-c", script).splitlines()
    assert lines[0] == "open" and len(lines) == 3
    assert all("Operation not permitted" in line for line in lines[1:]), lines


@pytest.mark.parametrize(("kind", "options"), [("pid", ()), ("net", ()), ("ipc", ("--ipc", "shareable"))])
def test_the_namespace_of_another_container(
    docker: Docker, start: Callable[..., str], kind: str, options: tuple[str, ...]
) -> None:
    name = start(*options)
    option = {"net": "network"}.get(kind, kind)
    shared = (f"--{option}", f"container:{name}")
    other = () if kind == "net" else NO_NETWORK
    mine = docker("run", "--rm", *other, *shared, BOX, "readlink", f"/proc/self/ns/{kind}")
    assert mine == docker("exec", name, "readlink", f"/proc/self/ns/{kind}")


def test_a_build_with_buildkit(docker: Docker) -> None:
    context, secret = make_build_context(docker, DOCKERFILE)
    options = ("--progress", "plain", "--no-cache", secret)
    docker.environment["DOCKER_BUILDKIT"] = "1"
    try:
        told = docker("build", *options, "-t", "built", str(context))
        (context / "Dockerfile").write_text("FROM localhost/box\nRUN exit 42\n")
        failed = docker.call("build", "--progress", "plain", str(context))
    finally:
        docker.environment["DOCKER_BUILDKIT"] = "0"
    for words in ("cached", "tmpfs /t ", "from-a-file", "secret-seen", "user 1000:50", "/copied"):
        assert words in told
    assert failed.returncode != 0 and "exit code: 42" in failed.stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--workdir", "/etc/passwd"), "not a directory"),
        (("--entrypoint", "/no/such"), "no such file or directory"),
        (("--entrypoint", "/etc"), "permission denied"),
        (("--volume", "/etc:/etc/passwd"), "Are you trying to mount a directory onto a file"),
    ],
)
def test_what_docker_says_of_a_bad_start(docker: Docker, options: tuple[str, ...], words: str) -> None:
    ended = docker.call("run", "--rm", *NO_NETWORK, *options, BOX, "true")
    assert ended.returncode in (125, 126, 127) and words in ended.stdout, ended.stdout


def test_containers_outlive_a_daemon_that_restores_them(docker: Docker, start: Callable[..., str]) -> None:
    name = start()
    (docker.folder / "daemon.json").write_text('{"live-restore": true}')
    docker.shell(f"kill -HUP $(cat {docker.folder / 'pid'})")
    until("live restore", lambda: docker("info", "--format", "{{.LiveRestoreEnabled}}") == "true")
    before = inspect(docker, name, ".State.Pid")
    docker.stop_daemon()
    docker.start_daemon()
    assert inspect(docker, name, ".State.Pid") == before
    assert docker("exec", name, "echo", "alive") == "alive"
    docker("kill", name)
    assert docker("wait", name) == "137", "its end is seen as well"


def test_users_are_remapped(docker: Docker) -> None:
    """A daemon of its own: its images lie elsewhere when users are remapped."""
    for other in opened(lambda folder, runtime: Docker(folder, runtime, "--userns-remap=nobody:nogroup")):
        inside, outside, size = other("run", "--rm", *NO_NETWORK, BOX, "cat", "/proc/self/uid_map").split()
        assert inside == "0" and int(outside) > 0 and int(size) > 1
        assert other("run", "--rm", *NO_NETWORK, BOX, "sh", "-c", "touch /x; stat -c %u /x") == "0"


def test_nothing_is_left(docker: Docker) -> None:
    assert docker("ps", "-aq") == ""
    assert docker.shell(f"ls {docker.folder}/exec/runtime-*/moby 2>/dev/null || true") == ""
