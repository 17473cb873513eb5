"""`linux.resources` as the files of cgroup v1 and v2: pure functions, no system call.

runtime-spec config-linux.md, "Control groups"; the kernel's Documentation/admin-guide/cgroup-v1/ and
cgroup-v2.rst. Each function returns `(file, value, pointer)` in the order of writing; `writer.py` repeats what
the kernel refuses only until a later value is in place, such as a quota below the old burst. A value of zero
leaves a limit alone, as the engines mean it when they send one; the exceptions are those of the
specification, named where they are.
"""

from pyoci.base.errors import OciError
from pyoci.spec.json_pointer import escape
from pyoci.spec.resource_rules import UNSET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from pyoci.spec.spec_types import (
        CPU,
        BlockIO,
        BlockIODevice,
        HugepageLimit,
        Memory,
        Network,
        Pids,
        Rdma,
        Resources,
        ThrottleName,
    )

    Held = Literal["quota", "period", "limit"]  # limits in force: of cpu, of cpu, of memory
    Write = tuple[str, str, str]


BASE = "/linux/resources"
UNLIMITED = -1
PERIOD = 100000  # the kernel's own default, microseconds
_MIN_SHARES, _MAX_SHARES = 2, 262144


def v1(resources: "Resources", *, bfq: bool = False) -> "list[Write]":
    """The writes for cgroup v1; with `bfq` block I/O weights go to the BFQ scheduler. Raises OciError."""
    if resources.get("unified"):
        raise OciError(
            "cgroup-unified",
            "linux.resources.unified needs cgroup v2, this machine has v1",
            pointer=f"{BASE}/unified",
            hint="use the other members of linux.resources (memory, cpu, pids ...)",
        )
    writes = _v1_memory(resources.get("memory") or {})
    writes += _v1_cpu(resources.get("cpu") or {})
    writes += _cpuset(resources.get("cpu") or {})
    writes += _pids(resources.get("pids") or {})
    writes += _v1_block(resources.get("blockIO") or {}, bfq)
    writes += _hugetlb(resources.get("hugepageLimits") or [], "limit_in_bytes")
    writes += _v1_network(resources.get("network") or {})
    return writes + _rdma(resources.get("rdma") or {})


def v2(resources: "Resources", *, bfq: bool = False) -> "list[Write]":
    """The writes for cgroup v2; with `bfq` block I/O weights go to the BFQ scheduler. Raises OciError."""
    writes = _v2_memory(resources.get("memory") or {})
    writes += _v2_cpu(resources.get("cpu") or {})
    writes += _cpuset(resources.get("cpu") or {})
    writes += _pids(resources.get("pids") or {})
    writes += _v2_block(resources.get("blockIO") or {}, bfq)
    writes += _hugetlb(resources.get("hugepageLimits") or [], "max")
    writes += _rdma(resources.get("rdma") or {})
    return writes + _unified(resources.get("unified") or {})


def optional(file: str, value: str) -> bool:
    """Whether a missing file only means that the kernel has no such thing to limit, so nothing is lost."""
    if ".rsvd." in file:
        return True  # the limit on used huge pages is written besides
    if file == "memory.swap.max":
        return value in ("max", "0")
    return file == "memory.memsw.limit_in_bytes" and value == "-1"


def ignored(resources: "Resources", *, version: int) -> list[str]:
    """Pointers of what is asked for and has no meaning on this version of cgroups."""
    memory, cpu, block = resources.get("memory", {}), resources.get("cpu", {}), resources.get("blockIO", {})
    found = [f"{BASE}/memory/kernel"] if memory.get("kernel") else []
    found += [f"{BASE}/memory/kernelTCP"] if memory.get("kernelTCP") else []
    if version == 1:
        return found
    if memory.get("swappiness") is not None:
        found.append(f"{BASE}/memory/swappiness")
    found += [f"{BASE}/memory/disableOOMKiller"] if memory.get("disableOOMKiller") else []
    found += [f"{BASE}/cpu/realtimeRuntime"] if cpu.get("realtimeRuntime") else []
    found += [f"{BASE}/cpu/realtimePeriod"] if cpu.get("realtimePeriod") else []
    found += [f"{BASE}/blockIO/leafWeight"] if block.get("leafWeight") else []
    for index, entry in enumerate(block.get("weightDevice") or []):
        found += [f"{BASE}/blockIO/weightDevice/{index}/leafWeight"] if entry.get("leafWeight") else []
    return found + ([f"{BASE}/network"] if resources.get("network") else [])


def completed(resources: "Resources", held: "Callable[[Held], int]") -> "Resources":
    """For an update: the same with what the kernel or systemd must get in one, as it is now.

    held  returns the limits in force by name, "quota" and "period" of cpu and "limit" of memory
    """
    found = resources.copy()
    cpu, memory = resources.get("cpu", {}), resources.get("memory", {})
    if cpu.get("quota") and not cpu.get("period"):
        found["cpu"] = {**cpu, "period": held("period")}
    elif cpu.get("period") and not cpu.get("quota"):
        found["cpu"] = {**cpu, "quota": held("quota")}
    if memory.get("swap") and not memory.get("limit"):
        found["memory"] = {**memory, "limit": held("limit")}
    return found


def wants_bfq(resources: "Resources") -> bool:
    """Whether it matters which scheduler's weight files there are."""
    block = resources.get("blockIO") or {}
    return bool(block.get("weight") or block.get("leafWeight") or block.get("weightDevice"))


def shares_to_weight(shares: int) -> int:
    """cpu.shares (2..262144) as cpu.weight (1..10000), with 1024 becoming 100: the formula runc and crun
    agreed on.
    """
    if shares <= _MIN_SHARES:
        return 1
    if shares >= _MAX_SHARES:
        return 10000
    # A cubic without math.log2: bit_length returns the whole part, repeated squaring the fraction.
    exponent = _log2(shares)
    power = (exponent * exponent + 125 * exponent) / 612.0 - 7.0 / 34.0
    return _ceil(10.0**power)


def block_weight_to_io(weight: int) -> int:
    """blkio.weight (10..1000) as io.weight (1..10000)."""
    return 1 + (weight - 10) * 9999 // 990


def swap_to_v2(limit: int, swap: int) -> int | None:
    """memory.swap.max from memory.limit and memory.swap, where swap counts memory too; None leaves it alone.

    Raises OciError when the two contradict each other.
    """
    pointer = f"{BASE}/memory/swap"
    if swap == 0:
        # Unlimited memory with a limit left on swap would be a surprise.
        return UNLIMITED if limit == UNLIMITED else None
    if swap < 0:
        return UNLIMITED
    if limit == 0:
        raise OciError(
            "cgroup-limit",
            "memory.swap needs memory.limit: it counts memory and swap together",
            pointer=pointer,
        )
    if limit < 0:
        raise OciError("cgroup-limit", "memory.swap has a limit, memory.limit has none", pointer=pointer)
    if swap < limit:
        message = f"memory.swap {swap} is below memory.limit {limit}: it counts memory and swap together"
        raise OciError("cgroup-limit", message, pointer=pointer)
    return swap - limit


def _log2(value: int) -> float:
    whole = value.bit_length() - 1
    rest = value / (1 << whole)
    fraction, bit = 0.0, 0.5
    for _ in range(52):
        rest *= rest
        if rest >= 2.0:
            rest /= 2.0
            fraction += bit
        bit /= 2.0
    return whole + fraction


def _ceil(value: float) -> int:
    return -int(-value // 1)


def _max(value: int) -> str:
    return "max" if value < 0 else str(value)


def _v1_memory(memory: "Memory") -> "list[Write]":
    base = f"{BASE}/memory"
    writes: list[Write] = []
    limit, swap = (memory.get("limit") or 0), (memory.get("swap") or 0)
    if limit == UNLIMITED and swap == 0:
        # The limit of both together must go first, and must not remain.
        writes.append(("memory.memsw.limit_in_bytes", "-1", f"{base}/limit"))
    if limit:
        writes.append(("memory.limit_in_bytes", str(limit), f"{base}/limit"))
    if swap:
        writes.append(("memory.memsw.limit_in_bytes", str(swap), f"{base}/swap"))
    if reservation := (memory.get("reservation") or 0):
        writes.append(("memory.soft_limit_in_bytes", str(reservation), f"{base}/reservation"))
    if memory.get("disableOOMKiller"):
        writes.append(("memory.oom_control", "1", f"{base}/disableOOMKiller"))
    swappiness = memory.get("swappiness")
    if swappiness is not None and swappiness != UNSET:  # old engines send the largest number for "unset"
        writes.append(("memory.swappiness", str(swappiness), f"{base}/swappiness"))
    return writes


def _v2_memory(memory: "Memory") -> "list[Write]":
    base = f"{BASE}/memory"
    writes: list[Write] = []
    limit = memory.get("limit") or 0
    swap = swap_to_v2(limit, (memory.get("swap") or 0))
    if swap is not None:
        writes.append(("memory.swap.max", _max(swap), f"{base}/swap"))
    if limit:
        writes.append(("memory.max", _max(limit), f"{base}/limit"))
    if reservation := (memory.get("reservation") or 0):
        writes.append(("memory.low", _max(reservation), f"{base}/reservation"))
    return writes


def _v1_cpu(cpu: "CPU") -> "list[Write]":
    writes = []
    for file, name, value in (
        ("cpu.rt_period_us", "realtimePeriod", cpu.get("realtimePeriod")),
        ("cpu.rt_runtime_us", "realtimeRuntime", cpu.get("realtimeRuntime")),
        ("cpu.shares", "shares", cpu.get("shares")),
        ("cpu.idle", "idle", cpu.get("idle")),
        ("cpu.cfs_period_us", "period", cpu.get("period")),
        ("cpu.cfs_quota_us", "quota", cpu.get("quota")),
        ("cpu.cfs_burst_us", "burst", cpu.get("burst")),
    ):
        if value is None or (value == 0 and name not in ("idle", "burst")):
            continue  # for these two 0 is a value of its own
        if name == "shares" and not _MIN_SHARES <= value <= _MAX_SHARES:
            message = f"cpu.shares {value} is not within {_MIN_SHARES}..{_MAX_SHARES}"
            raise OciError("cgroup-limit", message, pointer=f"{BASE}/cpu/shares")
        writes.append((file, str(value), f"{BASE}/cpu/{name}"))
    return writes


def _v2_cpu(cpu: "CPU") -> "list[Write]":
    base = f"{BASE}/cpu"
    writes: list[Write] = []
    if shares := (cpu.get("shares") or 0):
        writes.append(("cpu.weight", str(shares_to_weight(shares)), f"{base}/shares"))
    if cpu.get("idle") is not None:
        writes.append(("cpu.idle", str(cpu["idle"]), f"{base}/idle"))
    quota, period = (cpu.get("quota") or 0), (cpu.get("period") or 0)
    if quota or period:
        pointer = f"{base}/quota" if quota else f"{base}/period"
        limit = "max" if quota <= 0 else str(quota)
        writes.append(("cpu.max", f"{limit} {period or PERIOD}", pointer))
    if cpu.get("burst") is not None:
        writes.append(("cpu.max.burst", str(cpu["burst"]), f"{base}/burst"))
    return writes


def _cpuset(cpu: "CPU") -> "list[Write]":
    lists = (("cpus", cpu.get("cpus")), ("mems", cpu.get("mems")))
    return [(f"cpuset.{name}", text, f"{BASE}/cpu/{name}") for name, text in lists if text]


def _pids(pids: "Pids") -> "list[Write]":
    """0 is a valid limit since 1.3; the container's first process counts, so 1 is what it amounts to."""
    limit = pids.get("limit")
    if limit is None:
        return []
    return [("pids.max", _max(limit or 1), f"{BASE}/pids/limit")]


def _device(entry: "BlockIODevice") -> str:
    return f"{entry['major']}:{entry['minor']}"


def _v1_block(block: "BlockIO", bfq: bool) -> "list[Write]":
    base = f"{BASE}/blockIO"
    prefix = "blkio.bfq." if bfq else "blkio."
    writes: list[Write] = []
    if value := block.get("weight"):
        writes.append((f"{prefix}weight", str(value), f"{base}/weight"))
    if value := block.get("leafWeight"):
        writes.append(("blkio.leaf_weight", str(value), f"{base}/leafWeight"))
    for index, entry in enumerate(block.get("weightDevice") or []):
        pointer = f"{base}/weightDevice/{index}"
        if value := (entry.get("weight") or 0):
            writes.append((f"{prefix}weight_device", f"{_device(entry)} {value}", f"{pointer}/weight"))
        if value := (entry.get("leafWeight") or 0):
            writes.append(("blkio.leaf_weight_device", f"{_device(entry)} {value}", f"{pointer}/leafWeight"))
    for name, file, _ in _THROTTLES:
        for index, throttle in enumerate(block.get(name) or []):
            rate = throttle.get("rate") or 0
            writes.append((f"blkio.throttle.{file}", f"{_device(throttle)} {rate}", f"{base}/{name}/{index}"))
    return writes


_THROTTLES: "tuple[tuple[ThrottleName, str, str], ...]" = (
    ("throttleReadBpsDevice", "read_bps_device", "rbps"),
    ("throttleWriteBpsDevice", "write_bps_device", "wbps"),
    ("throttleReadIOPSDevice", "read_iops_device", "riops"),
    ("throttleWriteIOPSDevice", "write_iops_device", "wiops"),
)


def _v2_block(block: "BlockIO", bfq: bool) -> "list[Write]":
    base = f"{BASE}/blockIO"
    file = "io.bfq.weight" if bfq else "io.weight"
    writes: list[Write] = []
    if weight := (block.get("weight") or 0):
        writes.append((file, str(weight if bfq else block_weight_to_io(weight)), f"{base}/weight"))
    for index, entry in enumerate(block.get("weightDevice") or []):
        if weight := (entry.get("weight") or 0):
            value = weight if bfq else block_weight_to_io(weight)
            writes.append((file, f"{_device(entry)} {value}", f"{base}/weightDevice/{index}/weight"))
    for name, _, key in _THROTTLES:
        for index, throttle in enumerate(block.get(name) or []):
            rate = throttle.get("rate") or 0
            writes.append(("io.max", f"{_device(throttle)} {key}={rate or 'max'}", f"{base}/{name}/{index}"))
    return writes


def _hugetlb(limits: "list[HugepageLimit]", file: str) -> "list[Write]":
    """Both limits: pages in use, and pages reserved, which fails at mmap(2) instead of by SIGBUS."""
    writes = []
    for index, entry in enumerate(limits):
        size, limit, pointer = entry["pageSize"], str(entry["limit"]), f"{BASE}/hugepageLimits/{index}"
        writes.append((f"hugetlb.{size}.{file}", limit, pointer))
        writes.append((f"hugetlb.{size}.rsvd.{file}", limit, pointer))
    return writes


def _v1_network(network: "Network") -> "list[Write]":
    base = f"{BASE}/network"
    writes: list[Write] = []
    if classid := (network.get("classID") or 0):
        writes.append(("net_cls.classid", str(classid), f"{base}/classID"))
    for index, entry in enumerate(network.get("priorities") or []):
        value = f"{entry['name']} {entry['priority']}"
        writes.append(("net_prio.ifpriomap", value, f"{base}/priorities/{index}"))
    return writes


def _rdma(devices: "dict[str, Rdma]") -> "list[Write]":
    writes = []
    for name, entry in devices.items():
        given = (("hca_handle", entry.get("hcaHandles")), ("hca_object", entry.get("hcaObjects")))
        limits = [f"{key}={count}" for key, count in given if count is not None]
        if limits:
            writes.append(("rdma.max", f"{name} {' '.join(limits)}", f"{BASE}/rdma/{escape(name)}"))
    return writes


def _unified(unified: dict[str, str]) -> "list[Write]":
    """Last, so that it can correct what was derived from the other properties; each line is a write of its
    own.
    """
    writes = []
    for file, content in unified.items():
        pointer = f"{BASE}/unified/{escape(file)}"
        writes += [(file, line, pointer) for line in content.splitlines() or [""]]
    return writes
