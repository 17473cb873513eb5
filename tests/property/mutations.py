"""Documents for the differential test: small forms of real ones, full ones, and changes to them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from pyoci.validate import schema

DATA = Path(__file__).resolve().parents[1] / "data"
SLIPS: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.0, 0.5, 1e30, -1e-9, float("1e400")),
    *(
        "",
        "x",
        "0",
        "true",
        "\n",
        "RLIMIT_CORE\n",
        "2MB\n",
        "MB:0=1\n",
        "RLIMIT_",
        "RLIMIT_COR\u00e9",
        "0-3\n",
        "9" * 5000,  # more digits than int() takes
    ),
    *("CAP_X", "c", "cb", "\u2028", [], ["x"], [1], [None], [["x"]], [{}], {}, [["a"], {"b": 1}]),
    *({"": 1}, {"\n": 1}, {"x": 1}, {"x": "y"}, {"x": None}),
    *(511, 512, 65535, 65536, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**32 - 1, 2**32),
    *(2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64 - 1, 2**64, 10**40),
]


def load() -> list[tuple[str, Any]]:
    """The base documents, with the kind of each."""
    found = [("config", shorten(json.loads(path.read_text()))) for path in sorted(DATA.glob("**/*.json"))]
    found = [(kind, value) for kind, value in found if isinstance(value, dict) and "ociVersion" in value]
    return [*found, *((kind, full(schema.resolved(place))) for kind, place in schema.KINDS.items())]


def shorten(value: Any) -> Any:
    """The same document with three items of each list: forms matter here, not amounts."""
    if isinstance(value, dict):
        return {key: shorten(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shorten(item) for item in value[:3]]
    return value


def full(node: dict[str, Any]) -> Any:
    """A document with every member that a schema names."""
    parts = list(schema._parts(node))
    kinds = {part.get("type") for part in parts}
    if any("enum" in part for part in parts):
        return next(part["enum"][0] for part in parts if "enum" in part)
    if "object" in kinds or any("properties" in part for part in parts):
        found: dict[str, Any] = {}
        for part in parts:
            found.update({key: full(below) for key, below in part.get("properties", {}).items()})
            for key in ("additionalProperties", "patternProperties"):
                for below in (
                    [part[key]]
                    if key == "additionalProperties" and key in part
                    else part.get(key, {}).values()
                ):
                    found["free"] = full(below)
        return found
    if "array" in kinds:
        return [full(next(part["items"] for part in parts if "items" in part))] * 2
    if "integer" in kinds:
        return max(0, *(part.get("minimum", 0) for part in parts))
    if "boolean" in kinds:
        return True
    examples = {"^RLIMIT_[A-Z]+$": "RLIMIT_CORE", "^[1-9][0-9]*[KMG]B$": "2MB", "^MB:[^\\n]*$": "MB:0=1"}
    examples |= {"^[cbup]$": "c", "^[0-9, -]*$": "0-3", "^CAP_[A-Z_]+$": "CAP_KILL"}
    return next((examples[part["pattern"]] for part in parts if "pattern" in part), "text")


def holders(value: Any) -> Iterator[Any]:
    """Every object and list of a document."""
    if isinstance(value, (dict, list)):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from holders(item)


def mutate(value: Any, random: Random) -> Any:
    """A copy with one to three changes."""
    result = json.loads(json.dumps(value))
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if random.random() < 0.01 or not isinstance(result, (dict, list)):
            return _slip(random)
        _change(random.choice([holder for holder in holders(result) if holder]), random)
    return result


WORDS = """
/ /. /../x x /dev /dev/null /proc /proc/x /proc/cpuinfo /sys /sys/fs/cgroup /a//b/ /proc/1/ns/net a b=c PATH= =x A=B LANG
bind rbind remount ro rw rro nosuid size=1k mode=755 mode=0 uid=5 noauto silent sync idmap ridmap rslave shared unbindable
tmpcopyup copy-symlink atime relatime defaults newinstance context=x
proc sysfs tmpfs cgroup cgroup2 devpts mqueue overlay none
mount pid network uts ipc user cgroup time RLIMIT_CORE RLIMIT_NOFILE RLIMIT_X CAP_KILL CAP_SYS_ADMIN CAP_X
SCHED_OTHER SCHED_FIFO SCHED_RR SCHED_DEADLINE IOPRIO_CLASS_RT IOPRIO_CLASS_IDLE LINUX LINUX32 private rshared
SCMP_ACT_ALLOW SCMP_ACT_ERRNO SCMP_ACT_LOG SCMP_ACT_TRACE SCMP_ACT_NOTIFY SCMP_ARCH_X86 read write execve no_such_call
kernel.shmmax net.ipv4.ip_forward net/a kernel.hostname fs.mqueue.x memory.high memory 0-3 0-1,3 3-1 1.0.0 2.0.0 1.3.0
c b u p a rwm r x 2MB 1KB a.slice:b:c
""".split()
WORDS += ["", "a\0b", "a\nb"]
NUMBERS = (
    -1,
    0,
    1,
    2,
    5,
    7,
    8,
    20,
    99,
    100,
    1000,
    1024,
    4095,
    4096,
    65535,
    65536,
    1 << 20,
    (1 << 32) - 1,
    1 << 32,
    (1 << 63) - 1,
)


def vary(value: Any, random: Random) -> Any:
    """A copy with one to three changes that keep the types, so that the schema often accepts it."""
    result = json.loads(json.dumps(value))
    for _ in range(random.choice((1, 1, 2, 3))):
        holder = random.choice([holder for holder in holders(result) if holder])
        key = random.choice(list(holder)) if isinstance(holder, dict) else random.randrange(len(holder))
        match holder[key]:
            case _ if random.random() < 0.15:
                del holder[key]
            case _ if isinstance(holder, list) and random.random() < 0.2:
                holder.append(copy.deepcopy(random.choice(holder)))
            case bool():
                holder[key] = not holder[key]
            case int():
                holder[key] = random.choice(NUMBERS)
            case str():
                holder[key] = random.choice(WORDS)
            case list() if holder[key] and isinstance(holder[key][0], str):
                holder[key].append(random.choice(WORDS))
            case dict() if random.random() < 0.2:
                _rename(holder, key, random.choice(WORDS))
    return result


def _rename(holder: Any, key: Any, name: str) -> None:
    if isinstance(holder, dict):
        holder[name] = holder.pop(key)


def _change(holder: Any, random: Random) -> None:
    key: Any = random.choice(list(holder)) if isinstance(holder, dict) else random.randrange(len(holder))
    match random.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[random.choice((key + "x", key.upper(), "", "\n", "unknown"))] = holder.pop(key)
        case 1:
            holder.append(_slip(random))
        case 2 if isinstance(holder[key], str):
            holder[key] = random.choice(
                (holder[key] + "\n", holder[key][1:], holder[key].lower(), holder[key] + "X")
            )
        case 2 if isinstance(holder[key], int):
            holder[key] = random.choice(
                (
                    -holder[key],
                    holder[key] - 1,
                    max(-1e300, min(holder[key], 1e300)) * 1.0,
                    str(holder[key]),
                    2**64,
                )
            )
        case _:
            holder[key] = _slip(random)


def _slip(random: Random) -> Any:
    """A value from the list; a copy, for the next change may go into it."""
    return copy.deepcopy(random.choice(SLIPS))
