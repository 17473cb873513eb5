"""`pyoci update`: from its options, or a document, to a `linux.resources` object."""

import re

from pyoci.base.context import Context
from pyoci.base.errors import OciError
from pyoci.base.numbers import decimal
from pyoci.cli.parse import Options
from pyoci.cli.root import choose
from pyoci.lifecycle import update
from pyoci.spec import documents
from pyoci.validate import schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyoci.cli.values import Values
    from pyoci.spec.spec_types import CPU, CPUNumber, Memory, MemoryNumber, Resources

_RDT = ("l3_cache_schema", "mem_bw_schema")
_MEMORY: "tuple[tuple[str, MemoryNumber], ...]" = (
    ("memory", "limit"),
    ("memory_reservation", "reservation"),
    ("memory_swap", "swap"),
)
_KERNEL_MEMORY = ("kernel_memory", "kernel_memory_tcp")
_CPU: "tuple[tuple[str, CPUNumber, bool], ...]" = (  # option, property, whether it may be negative
    ("cpu_share", "shares", False),
    ("cpu_quota", "quota", True),
    ("cpu_burst", "burst", False),
    ("cpu_period", "period", False),
    ("cpu_rt_runtime", "realtimeRuntime", True),
    ("cpu_rt_period", "realtimePeriod", False),
    ("cpu_idle", "idle", False),
)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgtp]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_UNITS = " kmgtp"
_MOST = {True: (1 << 63) - 1, False: (1 << 64) - 1}


def run(context: Context, options: Options) -> int:
    """Set other limits for a container."""
    values = options.values
    root = choose(options.settings)
    if "resources" in values:
        _warn_ignored(context, values)
        wanted = update.read(values["resources"])
        documents.raise_first(values["resources"], schema.miscased(wanted, "resources"))
    else:
        wanted = from_options(context, values)
    update.update(
        context,
        root,
        options.args[0],
        wanted,
        l3_cache_schema=values.get("l3_cache_schema", ""),
        mem_bw_schema=values.get("mem_bw_schema", ""),
    )
    return 0


def from_options(context: Context, values: "Mapping[str, object]") -> "Resources":
    """The resources that the options ask for. Raises OciError `usage`."""
    if any(key in values for key in _KERNEL_MEMORY):
        context.log.warning("Kernel memory settings are ignored: no supported kernel has them")
    given = {key: value for key, value in values.items() if isinstance(value, str) and value}
    memory: Memory = {}
    for key, limit in _MEMORY:
        if key in given:
            memory[limit] = size(key, given[key])
    cpu = _cpu(given)
    found: Resources = {}
    if memory:
        found["memory"] = memory
    if cpu:
        found["cpu"] = cpu
    if "pids_limit" in given:
        found["pids"] = {"limit": number("pids_limit", given["pids_limit"], True)}
    if "blkio_weight" in given:
        found["blockIO"] = {"weight": number("blkio_weight", given["blkio_weight"], False)}
    return found


def _cpu(given: dict[str, str]) -> "CPU":
    cpu: CPU = {}
    for key, name, signed in _CPU:
        if key in given:
            cpu[name] = number(key, given[key], signed)
    if "cpuset_cpus" in given:
        cpu["cpus"] = given["cpuset_cpus"]
    if "cpuset_mems" in given:
        cpu["mems"] = given["cpuset_mems"]
    return cpu


def number(key: str, text: str, signed: bool) -> int:
    """A decimal number. Raises OciError `usage`."""
    digits = text[1:] if signed and text[:1] == "-" else text
    found = decimal(digits, _MOST[signed])
    if found >= 0:
        return found if digits is text else -found
    raise _invalid(key, text, "a number" if signed else "a number, 0 or more")


def size(key: str, text: str) -> int:
    """A size in bytes: 67108864, 64M, 1.5g, 64MiB; -1 for no limit. Raises OciError `usage`."""
    if text == "-1":
        return -1
    match = _SIZE.fullmatch(text)
    if match:
        unit = 1024 ** _UNITS.index(match[2].lower() or " ")
        count = decimal(match[1], _MOST[True]) if match[1].isdigit() else float(match[1])
        if 0 <= count * unit <= _MOST[True]:
            return int(count * unit)
    raise _invalid(key, text, "a size such as 67108864, 64M or 1.5G, or -1 for no limit")


def _invalid(key: str, text: str, expected: str) -> OciError:
    option = key.replace("_", "-")
    return OciError("usage", f'invalid value for {option}: "{text}": expected {expected}', obj=option)


def _warn_ignored(context: Context, values: "Values") -> None:
    others = sorted(set(values) - {"resources", *_RDT})
    if others:
        names = ", ".join("--" + key.replace("_", "-") for key in others)
        context.log.warning(f"ignored because of --resources: {names}")
