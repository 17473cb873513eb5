"""The bundles that are measured, and the static programs in them."""

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from .host import OUR_CGROUP
from .stage import Failed

Spec = dict[str, Any]

DATA = Path(__file__).resolve().parent.parent / "data"
ENGINES = DATA.parent.parent / "tests" / "data" / "engine-configs"
SAYS = (
    "ok\n"  # what the program of every `run` and `exec` writes: an idle runtime can not pass for a fast one
)
_OK = '#include <unistd.h>\nint main(void) { return write(1, "ok\\n", 3) != 3; }\n'
_PAUSE = "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n"
# The peak of a process counts from the address space it had before exec(2). Started from Python that would be
# Python's; started from this one, which is small, it is the command's own.
_PEAK = r"""
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
    struct rusage usage;
    int status;
    if (argc < 3) return 127;
    pid_t pid = vfork();
    if (pid == 0) { execv(argv[2], argv + 2); _exit(127); }
    if (pid < 0 || wait4(pid, &status, 0, &usage) < 0) return 126;
    FILE *file = fopen(argv[1], "w");
    if (!file || fprintf(file, "%ld", usage.ru_maxrss) < 0 || fclose(file)) return 126;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}
"""


def compile_static(source: str, target: Path) -> None:
    """Compile C SOURCE to the small static executable TARGET, with musl where it is installed."""
    compiler = next((found for name in ("musl-gcc", "cc", "gcc") if (found := shutil.which(name))), None)
    if compiler is None:
        raise Failed("a C compiler is needed for the static programs (musl-gcc, cc or gcc)")
    command = [compiler, "-static", "-Os", "-s", "-x", "c", "-o", str(target), "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command)}: {done.stderr}")


def load(name: str) -> Any:
    """The parsed file NAME of bench/data."""
    return json.loads((DATA / name).read_text())


def default_spec(program: str = "/ok") -> Spec:
    """What `runc spec` writes (1.1.5), without its terminal and with PROGRAM to run."""
    spec: Spec = load("runc-default.json")
    spec["process"]["args"] = [program]
    return spec


def podman_spec(bundle: Path, program: str = "/ok") -> Spec:
    """What podman 4.3 writes, with docker 28's default seccomp profile; the bind sources are in BUNDLE."""
    text = (DATA / "podman.json").read_text().replace("@BUNDLE@", str(bundle)).replace("@PROGRAM@", program)
    spec: Spec = json.loads(text)
    spec["linux"]["seccomp"] = load("docker-seccomp.json")
    return spec


def mounts_spec(source: Path, count: int = 200) -> Spec:
    """The default configuration and COUNT mounts more: three of four bind SOURCE, every fourth is a tmpfs."""
    spec = default_spec()
    kinds = [
        {"type": "bind", "source": str(source), "options": ["bind", "nosuid"]},
        {"type": "bind", "source": str(source), "options": ["rbind", "rprivate"]},
        {"type": "bind", "source": str(source), "options": ["bind", "ro", "nodev"]},
        {"type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "size=64k"]},
    ]
    for number in range(count):
        spec["mounts"].append({"destination": f"/mnt/{number}", **copy.deepcopy(kinds[number % 4])})
    return spec


def limited_spec(limit: int) -> Spec:
    """The default configuration with a memory limit of LIMIT bytes."""
    spec = default_spec()
    spec["linux"]["resources"]["memory"] = {"limit": limit}
    spec["linux"]["cgroupsPath"] = f"/{OUR_CGROUP}/limited"
    return spec


def unlimited_spec() -> Spec:
    """The default configuration without rlimits: under valgrind some of them can not be set."""
    spec = default_spec("/pause")
    del spec["process"]["rlimits"]
    return spec


def crowd_spec() -> Spec:
    """A container that is cheap to have a thousand of: few namespaces, few mounts."""
    spec = default_spec("/pause")
    spec["linux"] = {
        "namespaces": [{"type": "pid"}, {"type": "mount"}],
        "resources": spec["linux"]["resources"],
    }
    spec["mounts"] = [mount for mount in spec["mounts"] if mount["destination"] in ("/proc", "/dev")]
    del spec["hostname"]
    return spec


class Bundles:
    """All bundles below one directory; they share one rootfs and are used by all runtimes alike."""

    def __init__(self, directory: Path) -> None:
        """Build the rootfs with its programs and every bundle with a fixed configuration."""
        self._directory = directory
        self.rootfs = directory / "rootfs"
        folders = ["proc", "dev", "sys", "run", "etc", "mnt", *(f"mnt/{number}" for number in range(200))]
        for folder in folders:
            (self.rootfs / folder).mkdir(parents=True)
        compile_static(_OK, self.rootfs / "ok")
        compile_static(_PAUSE, self.rootfs / "pause")
        self.peak = directory / "peak"
        compile_static(_PEAK, self.peak)
        for name in ("etc/hostname", "etc/hosts", "run/.containerenv"):
            (self.rootfs / name).touch()
        self.default = self.write("default", default_spec())
        self.pause = self.write("pause", default_spec("/pause"))
        self.unlimited = self.write("unlimited", unlimited_spec())
        self.crowd = self.write("crowd", crowd_spec())
        self.mounts = self._with_mounts()
        self.podman = self._podman()

    def write(self, name: str, spec: Spec, indent: int | None = None) -> Path:
        """Write SPEC as the bundle NAME, new or again, and return the bundle's directory; INDENT as of json."""
        bundle = self._directory / name
        bundle.mkdir(exist_ok=True)
        spec["root"]["path"] = str(self.rootfs)  # absolute, as engines write it
        (bundle / "config.json").write_text(json.dumps(spec, indent=indent))
        return bundle

    def engines(self) -> dict[str, Path]:
        """A bundle for each configuration that a real engine wrote: the same text but for root.path."""
        return {
            file.stem: self.write(f"engine-{file.stem}", json.loads(file.read_text()), indent=1)
            for file in sorted(ENGINES.glob("*.json"))
        }

    def _with_mounts(self) -> Path:
        source = self._directory / "source"
        source.mkdir()
        return self.write("mounts", mounts_spec(source))

    def _podman(self) -> Path:
        bundle = self._directory / "podman"
        (bundle / "files" / "shm").mkdir(parents=True)
        for name in ("hostname", "hosts", ".containerenv"):
            (bundle / "files" / name).write_text("bench\n")
        return self.write("podman", podman_spec(bundle))
