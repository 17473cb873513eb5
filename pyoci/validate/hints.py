"""What people write out of habit - of shells, compose files, other formats - and what to write instead: the hints."""

import json
import re
import shlex
from functools import cache

from pyoci.base.suggest import closest
from pyoci.spec.versions import SPECIFICATION
from pyoci.validate.json_errors import mode

NO_LIMIT = (1 << 64) - 1  # RLIM_INFINITY
# words of other formats for members and values of this one
SYNONYMS = {
    **dict.fromkeys(("target", "dst", "dest", "containerpath", "mountpath", "container_path"), "destination"),
    **dict.fromkeys(("src", "hostpath", "host_path"), "source"),
    **dict.fromkeys(("cmd", "command", "entrypoint", "argv"), "args"),
    **dict.fromkeys(("environment", "envs"), "env"),
    **dict.fromkeys(("workdir", "working_dir", "workingdir", "working_directory"), "cwd"),
    **dict.fromkeys(("read_only", "readonlyrootfs"), "readonly"),
    **dict.fromkeys(("volumes", "binds"), "mounts"),
    **dict.fromkeys(("tty", "stdin_open"), "terminal"),
    **dict.fromkeys(("net", "netns"), "network"),
    **dict.fromkeys(("mnt", "mountns"), "mount"),
    **dict.fromkeys(("amd64", "x64"), "SCMP_ARCH_X86_64"),
    "i386": "SCMP_ARCH_X86",
    "arm64": "SCMP_ARCH_AARCH64",
    "readonly": "ro",
    "read-only": "ro",
    "readwrite": "rw",
    "recursive": "rbind",
    "caps": "capabilities",
    "ulimits": "rlimits",
    "rootfs": "root",
}
# the same for members that have their place in another object
PLACES = {
    **dict.fromkeys(("mem_limit", "memory_limit", "mem"), "/linux/resources/memory/limit"),
    **dict.fromkeys(("memswap_limit", "memory_swap"), "/linux/resources/memory/swap"),
    **dict.fromkeys(("cpus", "nano_cpus", "cpu_quota"), "/linux/resources/cpu/quota"),
    **dict.fromkeys(("cpuset", "cpuset_cpus"), "/linux/resources/cpu/cpus"),
    **dict.fromkeys(("cap_add", "cap_drop", "privileged"), "/process/capabilities"),
    **dict.fromkeys(("args", "cmd", "command", "entrypoint"), "/process/args"),
    **dict.fromkeys(("env", "environment"), "/process/env"),
    **dict.fromkeys(("cwd", "workdir", "working_dir", "workingdir"), "/process/cwd"),
    "cpu_shares": "/linux/resources/cpu/shares",
    "pids_limit": "/linux/resources/pids/limit",
    "uid": "/process/user/uid",
    "gid": "/process/user/gid",
    "sysctls": "/linux/sysctl",
    "ulimits": "/process/rlimits",
    "oom_score_adj": "/process/oomScoreAdj",
    "no_new_privileges": "/process/noNewPrivileges",
}
# what stands at a pointer
EXAMPLES = [
    (re.compile(form), example)
    for form, example in (
        (r"", "one object; `pyoci spec` makes one"),
        (r"/root", '{"path": "rootfs"}'),
        (r"/process", '{"args": ["sh"], "cwd": "/"}'),
        (r"/process/user", '{"uid": 1000, "gid": 1000}: numbers; names are not looked up'),
        (r"/process/capabilities", 'a list for each set: {"bounding": [...], "effective": [...], "permitted": [...]}'),
        (r"/process/consoleSize", '{"height": 24, "width": 80}'),
        (r"/process/rlimits/\d+", '{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024}'),
        (r"/mounts/\d+", '{"destination": "/data", "type": "bind", "source": "/srv", "options": ["rbind"]}'),
        (r"(/linux|/mounts/\d+)/[ug]idMappings/\d+", '{"containerID": 0, "hostID": 100000, "size": 65536}'),
        (r"/hooks", '{"poststop": [{"path": "/usr/bin/hook"}]}'),
        (r"/hooks/\w+/\d+", '{"path": "/usr/bin/hook", "args": ["hook", "an argument"]}'),
        (r"/linux/namespaces/\d+", '{"type": "pid"}'),
        (r"/linux/devices/\d+", '{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}'),
        (r"/linux/resources/(memory|pids)", '{"limit": 1000000}'),
        (r"/linux/resources/cpu", '{"quota": 50000, "period": 100000}: half a CPU'),
        (r"/linux/resources/devices/\d+", '{"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"}'),
        (r"/linux/resources/hugepageLimits/\d+", '{"pageSize": "2MB", "limit": 4194304}'),
        (r"/linux/seccomp", '{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [...]}'),
        (r"/linux/seccomp/syscalls/\d+", '{"names": ["read"], "action": "SCMP_ACT_ALLOW"}'),
    )
]  # fmt: skip
_SIZES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_YES, _NO = ("true", "yes", "on", "1", "y"), ("false", "no", "off", "0", "n")
_LONGEST = 100  # no slip is longer, and looking for one in megabytes takes minutes


def example(at: str) -> str:
    """What stands at a pointer, or ""."""
    return next((f"write {text}" for form, text in EXAMPLES if form.fullmatch(at)), "")


def instead(at: str, value: object, wanted: str) -> str:
    """What to write in the place of a value that is not of the JSON type `wanted`, or ""."""
    if isinstance(value, str) and len(value) > _LONGEST:
        return example(at) if wanted == "object" else ""
    if wanted == "object":
        return _object(at, value) or example(at)
    if wanted == "array":
        return _list(at, value)
    if wanted == "integer":
        return _integer(at, value)
    if wanted == "boolean":
        text = str(value).lower()
        return "write true" if text in _YES else "write false" if text in _NO else ""
    return _text(at, value)


def _written(value: object) -> str:
    text = json.dumps(value)
    return f"write {text}" if len(text) <= _LONGEST else ""


def _object(at: str, value: object) -> str:
    """From the short forms of other tools."""
    if not isinstance(value, str):
        return ""
    parts = value.split(":")
    if re.fullmatch(r"/linux/namespaces/\d+", at):
        return _written({"type": SYNONYMS.get(value, value)})
    if re.search(r"/[ug]idMappings/\d+$", at) and len(parts) == 3 and all(map(str.isdecimal, parts)):
        return _written(dict(zip(("containerID", "hostID", "size"), map(int, parts), strict=True)))
    if re.fullmatch(r"/mounts/\d+", at) and len(parts) in (2, 3) and parts[1].startswith("/"):
        options = ["rbind", *(parts[2].split(",") if len(parts) == 3 else ())]
        return _written({"destination": parts[1], "type": "bind", "source": parts[0], "options": options})
    return ""


def _list(at: str, value: object) -> str:
    item = example(f"{at}/0").removeprefix("write ")
    if item:  # a list of objects
        short = _object(f"{at}/0", value).removeprefix("write ")
        return "write it as a list of one: [{...}]" if isinstance(value, dict) else f"write [{short or item}]"
    if isinstance(value, dict):
        pairs = [f"{name}={text}" for name, text in value.items()]
        return _written(pairs) if at.endswith("/env") else ""
    if isinstance(value, str) and at.endswith("/args"):
        try:
            return _written(shlex.split(value))
        except ValueError:  # a quote without its other half
            pass
    if isinstance(value, str) and at.endswith("/options"):
        return _written(value.split(","))
    return _written([value])


def _integer(at: str, value: object) -> str:
    if isinstance(value, float):
        return f"write {int(value)}" if value.is_integer() and abs(value) < 1e18 else ""
    if not isinstance(value, str):
        return ""
    if at.endswith(("/fileMode", "/umask", "/mode")) and re.fullmatch(r"0o?[0-7]{1,6}", value):
        return f"a mode in decimal: {mode(value)}"
    if re.fullmatch(r"-?(0|[1-9][0-9]{0,19})", value):
        return f"write {value} without quotes"
    size = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?([kmgt])(?:i?b)?", value, re.IGNORECASE)
    if size:
        return f"write it as a number: {int(float(size[1]) * _SIZES[size[2].lower()])}"
    seconds = re.fullmatch(r"([1-9][0-9]{0,8}) ?s(ec|econds?)?", value)
    if seconds and at.endswith("/timeout"):
        return f"in seconds: {seconds[1]}"
    if value.lower() in ("max", "unlimited", "infinity", "inf", "none"):
        return f"for no limit write {NO_LIMIT if '/rlimits/' in at else -1}"
    return "ids are numbers; names are not looked up" if at.endswith(("/uid", "/gid")) else ""


def _text(at: str, value: object) -> str:
    if at == "/ociVersion":
        return f'write "{SPECIFICATION}"'
    if isinstance(value, list) and at.endswith(("/cpus", "/mems", "/nodes")):
        return _written(",".join(map(str, value)))
    if isinstance(value, (bool, int, float)):
        return f'write "{json.dumps(value)}" with quotes'
    return "all values here are strings" if at.startswith("/annotations/") else ""


def word(value: str, words: tuple[str, ...]) -> str:
    """A hint for a word that is none of those known: also without the beginning that they have in common."""
    same = SYNONYMS.get(value.lower())
    ends = [other for other in words if other.lower().endswith(f"_{value.lower()}")]
    found = same if same in words else ends[0] if len(ends) == 1 else ""
    return f'did you mean "{found}"?' if found else near(value, words)


@cache
def near(value: str, words: tuple[str, ...]) -> str:
    """A "did you mean" hint, or ""."""
    found = closest(value, words)
    return f'did you mean "{found}"?' if found else ""
