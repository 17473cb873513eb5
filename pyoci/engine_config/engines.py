"""What each engine has to be told to run its containers with pyoci: the text, its file, and how to ask whether it does."""

import json
import os
import subprocess
import tomllib
from pathlib import Path

NAME = "pyoci"  # what the runtime is called in the engines' configurations

# podman reads the log of these runtimes only, and lets only those do without a cgroup. A list replaces podman's own.
_JSON_RUNTIMES = ("crun", "runc", "kata", "runsc", "youki", "krun", NAME)
_NOCGROUPS_RUNTIMES = ("crun", "krun", NAME)

_TIMEOUT = 30  # seconds for an engine to answer


class Engine:
    """One engine: what to write where, and how to ask it.

    title    what the documentation calls it          file     the file that `--write` puts the text in, or ""
    form     "json" and "toml" are merged into what the file has; "drop-in" is a file of our own; "manifest" is for the caller
    after    what a person does next                  tried    what this text was run with; "" where nobody has
    """

    title = ""
    file = ""
    form = "drop-in"
    after = ""
    tried = ""

    def text(self, path: str) -> str:
        """The configuration, with the path of the runtime in it."""
        raise NotImplementedError

    def target(self) -> str:
        """The file to write for the user who asks."""
        return self.file

    def answer(self) -> str | None:
        """The path or name of the runtime that the engine says it uses by default; None when it can't be asked."""
        return None


class Podman(Engine):
    """podman and buildah, root's or a user's (containers.conf(5))."""

    title = "podman and buildah"
    file = "/etc/containers/containers.conf.d/50-pyoci.conf"
    after = "podman and buildah read it at the next command"
    tried = "podman 4.3.1 (Debian 12) and 5.8.6 (Debian sid)"

    def target(self) -> str:
        """A user's own file when the caller is not root."""
        if os.geteuid() == 0:
            return self.file
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        return home + self.file.removeprefix("/etc")

    def text(self, path: str) -> str:
        """A file of containers.conf.d."""
        return (
            "[engine]\n"
            f"runtime = {json.dumps(NAME)}\n"
            f"runtime_supports_json = {json.dumps(_JSON_RUNTIMES)}\n"
            f"runtime_supports_nocgroup = {json.dumps(_NOCGROUPS_RUNTIMES)}\n"
            "\n"
            "[engine.runtimes]\n"
            f"{NAME} = {json.dumps([path])}\n"
        )

    def answer(self) -> str | None:
        """What `podman info` says."""
        return _said("podman", "info", "--format", "{{.Host.OCIRuntime.Path}}")


class Docker(Engine):
    """dockerd (its reference, "daemon configuration file")."""

    title = "docker"
    file = "/etc/docker/daemon.json"
    form = "json"
    after = "restart dockerd: systemctl restart docker"
    tried = "docker 20.10.24 (Debian 12) and 28.5.2 (Debian sid)"

    def text(self, path: str) -> str:
        """The members of daemon.json."""
        wanted = {"default-runtime": NAME, "runtimes": {NAME: {"path": path}}}
        return json.dumps(wanted, indent=4) + "\n"

    def answer(self) -> str | None:
        """The path that dockerd has for its default runtime."""
        name = _said("docker", "info", "--format", "{{.DefaultRuntime}}")
        if not name:
            return name
        return _said("docker", "info", "--format", '{{(index .Runtimes "' + name + '").Path}}')


class Containerd(Engine):
    """containerd's CRI plugin, which Kubernetes uses; ctr names its runtime at each call."""

    title = "containerd"
    file = "/etc/containerd/config.toml"
    form = "toml"
    after = "restart containerd: systemctl restart containerd; ctr takes --runc-binary PATH at each run"
    tried = "containerd 1.6.20 (Debian 12) and 2.1.9 (Debian sid)"

    def text(self, path: str) -> str:
        """Tables of config.toml, in the version of the file that is there, else the one that the installed containerd writes."""
        return self.text_of(self._version_there() or self.newest(), path)

    def text_of(self, version: int, path: str) -> str:
        """Tables of a config.toml of version 2 or 3."""
        plugin = "io.containerd.cri.v1.runtime" if version == 3 else "io.containerd.grpc.v1.cri"
        table = f'plugins."{plugin}".containerd'
        return (
            f"version = {version}\n"
            "\n"
            f"[{table}]\n"
            f"default_runtime_name = {json.dumps(NAME)}\n"
            "\n"
            f"[{table}.runtimes.{NAME}]\n"
            'runtime_type = "io.containerd.runc.v2"\n'
            "\n"
            f"[{table}.runtimes.{NAME}.options]\n"
            f"BinaryName = {json.dumps(path)}\n"
            "SystemdCgroup = false\n"
        )

    def _version_there(self) -> int:
        """2 or 3 where the file says so, else 0: containerd 2 reads both, and Debian's package has a file of version 2."""
        try:
            found = tomllib.loads(Path(self.file).read_text()).get("version")
        except (OSError, ValueError):
            return 0
        return found if found in (2, 3) else 0

    @staticmethod
    def newest() -> int:
        """3 for containerd 2, 2 for containerd 1 (its docs/ops.md)."""
        said = _said("containerd", "--version") or ""
        return 3 if any(word.lstrip("v").startswith("2.") for word in said.split()) else 2

    def answer(self) -> str | None:
        """What the configuration that containerd would start with says."""
        plugins = _member(_told("containerd", "config", "dump"), "plugins")
        for plugin in plugins.values() if isinstance(plugins, dict) else ():
            name = _member(plugin, "containerd", "default_runtime_name")
            if name:
                return str(
                    _member(plugin, "containerd", "runtimes", str(name), "options", "BinaryName") or name
                )
        return None


class Crio(Engine):
    """CRI-O (crio.conf.d(5))."""

    title = "CRI-O"
    file = "/etc/crio/crio.conf.d/50-pyoci.conf"
    after = "restart CRI-O: systemctl restart crio"

    def text(self, path: str) -> str:
        """A file of crio.conf.d."""
        return (
            "[crio.runtime]\n"
            f"default_runtime = {json.dumps(NAME)}\n"
            "\n"
            f"[crio.runtime.runtimes.{NAME}]\n"
            f"runtime_path = {json.dumps(path)}\n"
            'runtime_type = "oci"\n'
            f'runtime_root = "/run/{NAME}"\n'
        )

    def answer(self) -> str | None:
        """What `crio config` says that it would start with."""
        found = _member(_told("crio", "config"), "crio", "runtime")
        name = str(_member(found, "default_runtime") or "")
        return str(_member(found, "runtimes", name, "runtime_path") or name) or None


class Kubernetes(Engine):
    """A RuntimeClass whose handler is the runtime's name in containerd or CRI-O."""

    title = "kubernetes"
    form = "manifest"
    after = f"kubectl apply -f the manifest; a pod asks for it with runtimeClassName: {NAME}"
    tried = (
        "crictl 1.36, which asks for the handler as the kubelet does, over containerd 1.6.20 (Debian 12) and 2.1.9 (Debian sid); "
        "the manifest itself is written from the manual"
    )

    def text(self, path: str) -> str:
        """The manifest; the path stands in the engine's own configuration."""
        return f"apiVersion: node.k8s.io/v1\nkind: RuntimeClass\nmetadata:\n  name: {NAME}\nhandler: {NAME}\n"

    def answer(self) -> str | None:
        """The handler of the class."""
        return _said("kubectl", "get", "runtimeclass", NAME, "-o", "jsonpath={.handler}")


class Buildkit(Engine):
    """buildkitd on its own; the one in dockerd takes `runc` from dockerd's PATH."""

    title = "buildkit"
    file = "/etc/buildkit/buildkitd.toml"
    form = "toml"
    after = (
        f"restart buildkitd; for the one in dockerd, put a link named runc to {NAME} first on dockerd's PATH"
    )

    def text(self, path: str) -> str:
        """The table of buildkitd.toml."""
        return f"[worker.oci]\nbinary = {json.dumps(path)}\n"


class Nvidia(Engine):
    """nvidia-container-runtime, which changes the specification and calls a low-level runtime."""

    title = "nvidia-container-runtime"
    file = "/etc/nvidia-container-runtime/config.toml"
    form = "toml"
    after = "the next container uses it"

    def text(self, path: str) -> str:
        """The list of low-level runtimes, ours first."""
        return f"[nvidia-container-runtime]\nruntimes = {json.dumps([path, 'runc', 'crun'])}\n"


ENGINES: dict[str, Engine] = {
    "podman": Podman(),
    "docker": Docker(),
    "containerd": Containerd(),
    "crio": Crio(),
    "kubernetes": Kubernetes(),
    "buildkit": Buildkit(),
    "nvidia": Nvidia(),
}


def _said(*argv: str) -> str | None:
    """The standard output of a command; None when it is missing or fails."""
    try:
        ended = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.strip() if ended.returncode == 0 else None


def _told(*argv: str) -> object:
    """The configuration that a command prints in TOML; empty where it prints none."""
    try:
        return tomllib.loads(_said(*argv) or "")
    except tomllib.TOMLDecodeError:
        return {}


def _member(found: object, *names: str) -> object:
    """What stands in a document in tables within tables, None where one of them is missing."""
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def is_ours(answer: str, path: str) -> bool:
    """True when an engine's answer, a path or a name, means the runtime at `path`."""
    return answer == NAME or Path(answer).resolve() == Path(path).resolve()
