"""Changed configurations on the real `create` and `run`: fuzz_create.py SEED COUNT RUNTIME FOLDER.

Never a traceback, a hang, or anything that is left behind. Needs root. It makes itself a throw-away machine: a mount namespace
whose root is an overlay of the host's, with all that is written in memory, and a pid namespace. What a configuration says of the
cgroup and the root filesystem is put right after each change, so that limits fall on nobody else. Prints what went wrong, and its
seed; with PYOCI_FUZZ_SHOW in the environment, what every call said.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[2]), str(HERE.parents[1])]

PATIENCE = 60
INSIDE = "PYOCI_FUZZ_INSIDE"
MACHINE = """
mount -t tmpfs -o mode=755 fuzz "$1" && mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay -o lowerdir=/,upperdir="$1/up",workdir="$1/work" fuzz "$1/root"
cd "$1/root" && mount -t proc proc proc && mount --rbind /sys sys && mount --rbind /dev dev
mkdir -p mnt && pivot_root . mnt && cd / && umount -l mnt && shift && exec "$@"
"""


def machine(arguments: list[str], folder: Path) -> int:
    """Run this program again, in a machine that is thrown away; returns its exit status."""
    command = ["unshare", "-mpf", "--propagation", "private", "sh", "-ec", MACHINE, "sh", str(folder)]
    environment = {**os.environ, INSIDE: "1"}
    done = subprocess.run([*command, sys.executable, str(HERE), *arguments], env=environment, check=False)
    return done.returncode


def rich(cgroup: str) -> dict[str, Any]:
    """A configuration that asks for a little of everything."""
    from harness import bundle

    from pyoci.spec.check import HOOKS

    found = bundle.default_config(cgroup)
    found["domainname"] = "domain"
    found["annotations"] = {"a": "b"}
    found["hooks"] = {
        kind: [{"path": "/bin/true", "args": ["true"], "env": ["A=b"], "timeout": 5}] for kind in HOOKS
    }
    found["process"].update(
        oomScoreAdj=100,
        noNewPrivileges=True,
        rlimits=[{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}],
        ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 4},
        scheduler={"policy": "SCHED_OTHER", "nice": 5},
    )
    found["process"]["user"].update(additionalGids=[5, 6], umask=18)
    found["linux"].update(
        sysctl={"net.ipv4.ip_forward": "1", "kernel.msgmax": "65536"},
        maskedPaths=["/proc/kcore", "/proc/acpi"],
        readonlyPaths=["/proc/sys", "/proc/bus"],
        devices=[
            {
                "path": "/dev/x/fuse",
                "type": "c",
                "major": 10,
                "minor": 229,
                "fileMode": 438,
                "uid": 0,
                "gid": 0,
            }
        ],
        rootfsPropagation="rslave",
        seccomp={
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": ["reboot", "kexec_load"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
        },
        personality={"domain": "LINUX"},
    )
    found["linux"]["resources"].update(
        memory={"limit": 1 << 28, "reservation": 1 << 27},
        cpu={"shares": 512, "quota": 50000, "period": 100000},
        pids={"limit": 100},
    )
    if Random(cgroup).random() < 0.4:
        found["linux"]["namespaces"].append({"type": "user"})
        lines = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        found["linux"].update(uidMappings=lines, gidMappings=lines)
        del found["linux"]["sysctl"], found["linux"]["devices"]
    return found


def harmless(spec: Any, cgroup: str) -> Any:
    """Keep the change away from the host's cgroups, its network settings and its clock of scheduling."""
    if not isinstance(spec, dict):
        return spec
    linux, root, process = spec.get("linux"), spec.get("root"), spec.get("process")
    if isinstance(linux, dict) and isinstance(linux.get("cgroupsPath", ""), str):
        linux["cgroupsPath"] = cgroup
    elif linux is None:
        spec["linux"] = {"cgroupsPath": cgroup}
    if isinstance(root, dict) and isinstance(root.get("path"), str):
        root["path"] = "rootfs"
    args = process.get("args") if isinstance(process, dict) else None
    if isinstance(args, list) and args and isinstance(args[0], str):
        args[0] = "/bin/true"
    return spec


NUMBERS = [
    0,
    1,
    -1,
    2,
    7,
    99,
    1000,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**63 - 1,
    2**63,
    2**64 - 1,
    10**40,
]
TEXTS = [
    "",
    "/",
    ".",
    "..",
    "/..",
    "x",
    "//x//",
    "a b",
    "-",
    "0",
    "0-1",
    "\n",
    "a\x00b",
    "\x1b[2J",
    "\u202e",
    "\ud800",
    "\udc80",
]
TEXTS += [
    "%s%n",
    "x" * 300,
    "/x" * 3000,
    "/proc/self/fd/3",
    "/proc/1/root",
    "/dev/null",
    "rshared",
    "tmpcopyup",
    "idmap",
    "size=1",
]


def places(node: Any) -> list[tuple[Any, Any]]:
    """(holder, key) of everything below a node."""
    found: list[tuple[Any, Any]] = []
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        found.append((node, key))
        found += places(node[key])
    return found


def change(spec: Any, random: Random) -> Any:
    """Change one place; most often so that the schema still accepts it."""
    from property.mutations import mutate

    if random.random() < 0.2 or not isinstance(spec, dict):
        return mutate(spec, random)
    holder, key = random.choice(places(spec))
    value = holder[key]
    if isinstance(value, bool):
        holder[key] = not value
    elif isinstance(value, int):
        holder[key] = random.choice(NUMBERS)
    elif isinstance(value, str):
        text = random.choice(TEXTS)
        holder[key] = random.choice([text, value + text, text + value, value[: len(value) // 2]])
    elif isinstance(value, list) and value:
        more = [*value, copy.deepcopy(random.choice(value))]
        holder[key] = random.choice([[], value[::-1], value[:-1], more])
    elif isinstance(holder, dict):
        del holder[key]
    return spec


class Trial:
    """The bundle, and what there was before."""

    def __init__(self, runtime: str, folder: Path) -> None:
        from harness.bundle import RootFilesystem

        self.runtime = runtime
        self.folder = folder
        self.bundle = folder / "bundle"
        self.bundle.mkdir(parents=True)
        RootFilesystem(folder).make(self.bundle / "rootfs")
        self.root = folder / "state"
        self.ran = 0

    def call(self, *words: str) -> tuple[int, str]:
        """Exit status, -1 for a hang, and everything that it printed."""
        with open(self.folder / "output", "w+b") as output:
            process = subprocess.Popen(
                [self.runtime, "--root", str(self.root), *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.bundle,
            )
            try:
                status = process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                status = -1
            output.seek(0)
            return status, output.read().decode("utf-8", "replace")

    def run(self, number: int) -> list[str]:
        """Make the container of a number and remove it; what was wrong."""
        from harness.leaks import LeakChecker

        random, cgroup = Random(number), f"/pyoci-fuzz-{number}"
        spec = rich(cgroup)
        for _ in range(random.randrange(1, 3)):
            spec = change(spec, random)
        (self.bundle / "config.json").write_text(json.dumps(harmless(spec, cgroup)))
        leaks, wrong = LeakChecker(f"pyoci-fuzz-{number}", self.root), []
        verbs = [("run", "x")] if number % 2 else [("create", "x"), ("start", "x"), ("state", "x")]
        for verb in [*verbs, ("delete", "--force", "x")]:
            status, said = self.call(*verb)
            self.ran += verb[0] in ("run", "start") and status == 0
            if status < 0:
                wrong.append(f"{verb[0]} hangs")
            if os.environ.get("PYOCI_FUZZ_SHOW"):
                print(number, verb[0], status, said[:300].strip(), flush=True)
            if "Traceback" in said or "bug in pyoci" in said:
                wrong.append(said)
        left = leaks.settled()
        if left:
            leaks.clean()
        return wrong + left


def main(arguments: list[str]) -> int:
    """Return 1 when something was wrong."""
    seed, count, runtime, folder = int(arguments[0]), int(arguments[1]), arguments[2], Path(arguments[3])
    if INSIDE not in os.environ:
        folder.mkdir(parents=True, exist_ok=True)
        return machine(arguments, folder)
    from harness import machine as host

    host.become_subreaper()
    trial, failed = Trial(runtime, Path("/var/pyoci-fuzz")), 0
    for number in range(seed, seed + count):
        wrong = trial.run(number)
        if wrong:
            failed += 1
            print(f"seed {number}:", *wrong, sep="\n  ", flush=True)
            print((trial.bundle / "config.json").read_text()[:4000], flush=True)
    print(f"{count} configurations, {trial.ran} ran, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    sys.exit(main(sys.argv[1:]))
