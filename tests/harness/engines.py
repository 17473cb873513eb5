"""Container engines on the runtime under test, each with a state of its own, offline.

An engine runs in mount, network and PID namespaces of its own: whatever a test starts ends with them. Its image is busybox,
its ROOT for the runtime lies in a /run of its own, and its cgroups are below one that is named after its folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

from . import machine
from .runtime import PATIENCE as OF_ONE_CALL
from .runtime import find

AnyEngine = TypeVar("AnyEngine", bound="Engine")
# What an engine may take for one command: an image is built, a service is rolled out
PATIENCE = 3 * OF_ONE_CALL
# Podman makes a directory for each controller that is not mounted. On cgroup v1 it would land in the tmpfs that all mount
# namespaces share, so that one is covered by another, with the same hierarchies mounted in it. User namespaces that an engine
# chooses have ids that nobody else has: podman takes those of "containers", who has to be a user where
# libsubid is asked; dockerd those of the user that it is told.
_OWN_PLACES = r"""
mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/lock
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
if [ "$(stat -f -c %T /sys/fs/cgroup)" = tmpfs ]; then
    mkdir cgroups && mount -t tmpfs -o mode=755 tmpfs cgroups
    for hierarchy in /sys/fs/cgroup/*; do
        if [ -L "$hierarchy" ]; then cp -P "$hierarchy" cgroups/
        elif mountpoint -q "$hierarchy"; then
            mkdir "cgroups/${hierarchy##*/}" && mount --rbind "$hierarchy" "cgroups/${hierarchy##*/}"
        fi
    done
    mount --move cgroups /sys/fs/cgroup
fi
for file in subuid subgid; do
    { cat /etc/$file; printf '%s:2147483648:1000000\n' containers nobody nogroup; } > $file
    mount --bind $file /etc/$file
done
{ cat /etc/passwd; echo containers:x:65533:65533::/nonexistent:/usr/sbin/nologin; } > passwd
mount --bind passwd /etc/passwd
ip link set lo up
"""
_USERS = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n"
_GROUPS = "root:x:0:\nstaff:x:50:user\nuser:x:1000:\n"


def need(*programs: str) -> None:
    """Skip when a program is not installed, or not root asks."""
    if not machine.is_root():
        pytest.skip("engines are driven as root here")
    for program in (*programs, "busybox", "unshare", "nsenter"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def need_asked(engine: str) -> None:
    """Skip unless the tests with this engine are asked for: they take minutes."""
    if os.environ.get("PYOCI_TEST_ENGINES", "") not in ("all", engine):
        pytest.skip(f"takes minutes: set PYOCI_TEST_ENGINES=all or ={engine}")


def make_layer(folder: Path) -> Path:
    """Return a tar file with the root file system of an image: busybox under all its names, and two users."""
    root = folder / "image"
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "run", "root", "home"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copy(busybox, root / "bin/busybox")
    names = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in set(names) - {"busybox"}:
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text(_USERS)
    (root / "etc/group").write_text(_GROUPS)
    layer = folder / "layer.tar"
    subprocess.run(["tar", "-C", root, "--owner=0", "--group=0", "-cf", layer, "."], check=True)
    return layer


class Engine:
    """An engine in namespaces of its own, from `start` to `close`; `close` also ends one whose `start` has failed.

    `folder` holds all its files, `tag` is the name of its parent cgroup, `command` what every call of it begins with.
    """

    _holder: subprocess.Popen[bytes] | None = None
    _first = 0

    def __init__(self, folder: Path, runtime: Path) -> None:
        self.folder = folder
        self.runtime = runtime
        self.tag = folder.name
        self.command: list[str] = []
        self.environment = {
            "PATH": f"{folder / 'path'}:{os.environ['PATH']}",
            "TMPDIR": str(folder / "tmp"),
            "HOME": str(folder / "home"),
        }
        for name in ("path", "tmp", "home"):
            (folder / name).mkdir()
        # BuildKit, and whoever else asks PATH for runc, finds the runtime under test
        (folder / "path/runc").symlink_to(runtime)
        self.layer = make_layer(folder)

    def start(self) -> None:
        """Make the namespaces, and in them whatever the engine needs."""
        # The shell waits for the sleep, and so for every orphan that comes to it as the first process
        holder = ["bash", "-c", "sleep infinity & wait; wait"]
        self._holder = subprocess.Popen(
            [
                "unshare",
                "-m",
                "-n",
                "-p",
                "-f",
                "--kill-child",
                "--mount-proc",
                "--propagation",
                "private",
                *holder,
            ]
        )
        self._first = self._find_first(self._holder.pid)
        self.shell(_OWN_PLACES)

    @staticmethod
    def _find_first(holder: int) -> int:
        """The pid, here, of the first process of the PID namespace, once it has its own /proc."""
        children = Path(f"/proc/{holder}/task/{holder}/children")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = children.read_text().split()
            if found and Path(f"/proc/{found[0]}/cmdline").read_bytes().startswith(b"bash"):
                return int(found[0])
            time.sleep(0.01)
        raise AssertionError("unshare made no process")

    def inside(self, *command: str) -> list[str]:
        """A command line that runs `command` in the engine's namespaces."""
        return [
            "nsenter",
            "-t",
            str(self._first),
            "-m",
            "-n",
            "-p",
            "env",
            f"--chdir={self.folder}",
            *command,
        ]

    def shell(self, script: str, **options: Any) -> str:
        """What a shell script in the engine's namespaces printed; it must succeed."""
        return self._ended(self.inside("sh", "-ec", script), **options)

    def call(self, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """A call of the engine, whatever its end; both streams are in `stdout`."""
        return self._run(self.inside(*self.command, *args), **options)

    def __call__(self, *args: str, **options: Any) -> str:
        """What a call of the engine printed, without the end of its last line; it must succeed."""
        return self._ended(self.inside(*self.command, *args), **options)

    def _run(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        options = {"stdin": None if "input" in options else subprocess.DEVNULL} | options
        return subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
            env=self.environment,
            **options,
        )

    def _ended(self, command: list[str], **options: Any) -> str:
        ended = self._run(command, **options)
        assert ended.returncode == 0, (
            f"{' '.join(command[8:])}: exit status {ended.returncode}\n{ended.stdout}"
        )
        return ended.stdout.rstrip("\n")

    def frozen(self, pid: str) -> bool:
        """Whether the kernel has frozen the cgroup of a process, which has that id in the engine's PID namespace."""
        said = self.shell(f"""
            own=$(sed -n 's/^[0-9]*:freezer://p' /proc/{pid}/cgroup)
            if [ "$own" ]; then cat "/sys/fs/cgroup/freezer$own/freezer.state"
            else cat "/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/{pid}/cgroup)/cgroup.events"; fi
        """)
        return "FROZEN" in said or "frozen 1" in said

    def close(self) -> None:
        """End every process of the engine and remove its cgroups."""
        if self._holder is not None:
            # It waits for the first process, and takes it with it
            os.kill(self._first or self._holder.pid, signal.SIGKILL)
            self._holder.wait(PATIENCE)
        remove_cgroups(self.tag)


class Podman(Engine):
    """podman with storage, networks and configuration of its own, and cgroupfs as cgroup manager."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        super().__init__(folder, runtime)
        (folder / "networks").mkdir()
        containers, storage = folder / "containers.conf", folder / "storage.conf"
        files = os.sysconf("SC_OPEN_MAX")
        containers.write_text(
            f'[containers]\ndefault_ulimits = ["nofile={files}:{files}", "nproc=4096:4096"]\n'
            '[engine]\nlock_type = "file"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
            f'infra_image = "localhost/pause"\nruntime_supports_json = ["crun", "runc", "{runtime.name}"]\n'
        )
        storage.write_text(
            f'[storage]\ndriver = "overlay"\nrunroot = "{folder / "run"}"\ngraphroot = "{folder / "storage"}"\n'
        )
        self.environment |= {
            "CONTAINERS_CONF": str(containers),
            "CONTAINERS_STORAGE_CONF": str(storage),
            "PODMAN_IGNORE_CGROUPSV1_WARNING": "1",
        }
        own = ["--tmpdir", str(folder / "podman"), "--network-config-dir", str(folder / "networks")]
        self.command = ["podman", *own, "--runtime", str(runtime)]

    def start(self) -> None:
        """Import the images."""
        super().start()
        self.import_images()

    def import_images(self) -> None:
        """The image of the containers, and that of a pod's first container."""
        self.version = int(self("version", "--format", "{{.Client.Version}}").partition(".")[0])
        for image in ("localhost/box", "localhost/pause"):
            self("import", "-c", "CMD sleep 7000", "-c", "ENV PATH=/bin", str(self.layer), image)


class UsersPodman(Podman):
    """podman of the ordinary user who runs the tests, in their namespaces, with storage of its own."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        super().__init__(folder, runtime)
        for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]
        self.command += ["--log-level", "error", "--cgroup-manager", "systemd"]

    def inside(self, *command: str) -> list[str]:
        """The command itself."""
        return list(command)

    def start(self) -> None:
        """Import the images."""
        self.import_images()

    def close(self) -> None:
        """End the containers, and remove their storage, which has files of the user's other ids."""
        self("rm", "-f", "-t", "0", "-a")
        self("unshare", "rm", "-rf", str(self.folder / "storage"), str(self.folder / "run"))


class Buildah(Podman):
    """buildah with the places of a podman of its own."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        super().__init__(folder, runtime)
        self.environment["BUILDAH_RUNTIME"] = str(runtime)
        self.environment["BUILDAH_ISOLATION"] = "oci"

    def start(self) -> None:
        """Import the images with podman."""
        super().start()
        self.command = ["buildah", "--storage-driver", "overlay"]


class Daemon(Engine):
    """An engine whose commands ask a daemon of its own, which `daemon_command` starts."""

    daemon_command: list[str]
    _daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the daemon, too."""
        super().start()
        self.start_daemon()

    def start_daemon(self) -> None:
        """Start the daemon and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._daemon = subprocess.Popen(
                self.inside(*self.daemon_command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
            )
        until(f"{self.daemon_command[0]} answers", lambda: self.call("version").returncode == 0)

    def close(self) -> None:
        """End the daemon with everything else."""
        super().close()
        if self._daemon is not None:
            self._daemon.wait(PATIENCE)


class Docker(Daemon):
    """A dockerd of its own, with cgroupfs as cgroup driver, and the docker client that asks it."""

    def __init__(self, folder: Path, runtime: Path, *options: str) -> None:
        super().__init__(folder, runtime)
        socket = f"unix://{folder / 'socket'}"
        self.environment |= {
            "DOCKER_HOST": socket,
            "DOCKER_CONFIG": str(folder / "home"),
            "DOCKER_CLI_HINTS": "false",
        }
        self.command = [os.environ.get("DOCKER", "/usr/bin/docker")]
        (folder / "daemon.json").write_text("{}")
        places = {"config-file": "daemon.json", "data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        self.daemon_command = [
            "dockerd",
            *(f"--{option}={folder / name}" for option, name in places.items()),
            f"--host={socket}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            f"--cgroup-parent=/{self.tag}",
            f"--add-runtime=tested={runtime}",
            "--default-runtime=tested",
            "--ip6tables=false",
            *options,
        ]

    def start(self) -> None:
        """Import the image."""
        super().start()
        self("import", "-c", "CMD sleep 7000", "-c", "ENV PATH=/bin", str(self.layer), "localhost/box")

    def stop_daemon(self) -> None:
        """End dockerd; its containers end too, unless it keeps them alive."""
        self.shell(f"kill $(cat {self.folder / 'pid'})")
        if self._daemon is not None:
            self._daemon.wait(PATIENCE)


class Containerd(Daemon):
    """A containerd of its own, and ctr that asks it."""

    def __init__(self, folder: Path, runtime: Path) -> None:
        super().__init__(folder, runtime)
        places = f'root = "{folder / "root"}"\nstate = "{folder / "state"}"\n[grpc]\naddress = "{folder / "socket"}"\n'
        (folder / "config.toml").write_text(
            f'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n{places}'
        )
        self.command = ["ctr", "-a", str(folder / "socket")]
        self.daemon_command = ["containerd", "-c", str(folder / "config.toml")]

    def start(self) -> None:
        """Import the image."""
        super().start()
        self("images", "import", "--no-unpack", str(make_archive(self.folder, self.layer)))


def opened(make: Callable[[Path, Path], AnyEngine]) -> Iterator[AnyEngine]:
    """An engine on the runtime under test, ended after its use."""
    runtime = find()
    if runtime is None:
        pytest.skip("no runtime: install the package or set PYOCI_RUNTIME")
    folder = Path(tempfile.mkdtemp(prefix="pyoci-e"))
    folder.chmod(0o711)  # a container in a user namespace reaches its root file system
    try:
        engine = make(folder, runtime.resolve())
        try:
            engine.start()
            yield engine
        finally:
            engine.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_build_context(engine: Engine, dockerfile: str) -> tuple[Path, str]:
    """Return a folder with a Dockerfile and a file to be built from, and the option of a secret `s`."""
    context, secret = engine.folder / "context", engine.folder / "secret"
    context.mkdir()
    (context / "file").write_text("from-a-file\n")
    (context / "Dockerfile").write_text(dockerfile)
    secret.write_text("hidden")
    return context, f"--secret=id=s,src={secret}"


def make_archive(folder: Path, layer: Path, *command: str) -> Path:
    """Return a tar file with an OCI image layout, which is also in `folder`: one image, localhost/box, of one layer."""
    layout = folder / "layout"
    (layout / "blobs/sha256").mkdir(parents=True)

    def keep(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (layout / "blobs/sha256" / digest).write_bytes(data)
        return {
            "mediaType": f"application/vnd.oci.image.{media_type}",
            "digest": f"sha256:{digest}",
            "size": len(data),
        } | more

    layer_entry = keep(layer.read_bytes(), "layer.v1.tar")
    machine_name = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    config = {
        "architecture": machine_name,
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": list(command or ("sleep", "7000"))},
        "rootfs": {"type": "layers", "diff_ids": [layer_entry["digest"]]},
    }
    config_entry = keep(json.dumps(config).encode(), "config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config_entry,
        "layers": [layer_entry],
    }
    name = {"annotations": {"io.containerd.image.name": "localhost/box:latest"}}
    entry = keep(json.dumps(manifest).encode(), "manifest.v1+json", **name)
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    archive = folder / "image.tar"
    subprocess.run(["tar", "-C", layout, "-cf", archive, "."], check=True)
    return archive


def remove_cgroups(name: str) -> None:
    """Remove the cgroups of that name at the top of the hierarchies, with those below them, once their processes are gone."""
    for hierarchy in machine.CGROUPS.iterdir() if machine.cgroup_version() == 1 else [machine.CGROUPS]:
        _remove_cgroup(hierarchy / name)


def _remove_cgroup(path: Path) -> None:
    for _ in range(50):
        for place, _, _ in os.walk(path, topdown=False):
            with suppress(OSError):  # busy, or gone
                os.rmdir(place)
        if not path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{path} does not go")


def until(what: str, holds: Any, patience: float = PATIENCE) -> None:
    """Wait until `holds()` is true; fail the test, saying `what` was waited for, when it does not come."""
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end, f"{what}: not within {patience:.0f} s"
        time.sleep(0.2)
