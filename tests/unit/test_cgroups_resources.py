"""linux.resources as the files of cgroup v1 and v2."""

from __future__ import annotations

import math
from typing import Any, Unpack

import pytest

from pyoci.base.errors import OciError
from pyoci.cgroups import resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec.spec_types import CPU, BlockIO, HugepageLimit, Memory, Network, Rdma, Resources


def v1(**limits: Unpack[Resources]) -> dict[str, str]:
    return {file: value for file, value, _ in resources.v1(limits)}


def v2(**limits: Unpack[Resources]) -> dict[str, str]:
    return {file: value for file, value, _ in resources.v2(limits)}


def test_nothing_and_zero_leave_everything_alone() -> None:
    zero: Any = {  # null is what some engines write for nothing
        "memory": {"limit": 0, "swap": 0, "reservation": 0, "disableOOMKiller": False},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""},
        "blockIO": {"weight": 0, "throttleReadBpsDevice": None},
        "pids": None,
        "hugepageLimits": None,
        "rdma": None,
    }
    assert resources.v1({}) == resources.v1(zero) == []
    assert resources.v2({}) == resources.v2(zero) == []


def test_memory() -> None:
    limits: Memory = {"limit": 1000, "swap": 3000, "reservation": 500}
    assert v1(memory=limits) == {
        "memory.limit_in_bytes": "1000",
        "memory.memsw.limit_in_bytes": "3000",
        "memory.soft_limit_in_bytes": "500",
    }
    assert v2(memory=limits) == {"memory.max": "1000", "memory.swap.max": "2000", "memory.low": "500"}


def test_memory_unlimited() -> None:
    assert v1(memory={"limit": -1}) == {"memory.memsw.limit_in_bytes": "-1", "memory.limit_in_bytes": "-1"}
    assert v2(memory={"limit": -1}) == {"memory.max": "max", "memory.swap.max": "max"}
    assert v2(memory={"limit": 4096, "swap": -1}) == {"memory.max": "4096", "memory.swap.max": "max"}
    assert v2(memory={"limit": 4096, "swap": 4096}) == {"memory.max": "4096", "memory.swap.max": "0"}
    assert v2(memory={"limit": 4096}) == {"memory.max": "4096"}


@pytest.mark.parametrize("memory", [{"swap": 1}, {"limit": -1, "swap": 1}, {"limit": 2, "swap": 1}])
def test_swap_that_contradicts(memory: Memory) -> None:
    with pytest.raises(OciError) as caught:
        resources.v2({"memory": memory})
    assert caught.value.pointer == "/linux/resources/memory/swap"


def test_what_only_v1_knows() -> None:
    memory: Memory = {"swappiness": 0, "disableOOMKiller": True, "kernel": 5, "kernelTCP": 5}
    memory["useHierarchy"] = True  # as every cgroup is
    assert v1(memory=memory) == {"memory.oom_control": "1", "memory.swappiness": "0"}
    assert v2(memory=memory) == {}
    assert resources.ignored({"memory": memory}, version=1) == [
        "/linux/resources/memory/kernel",
        "/linux/resources/memory/kernelTCP",
    ]
    assert "/linux/resources/memory/swappiness" in resources.ignored({"memory": memory}, version=2)
    assert v1(memory={"swappiness": 2**64 - 1}) == {}


def test_cpu() -> None:
    cpu: CPU = {"shares": 1024, "quota": 20000, "period": 50000, "burst": 0, "idle": 0}
    cpu |= {"cpus": "0-1", "mems": "0"}
    assert v1(cpu=cpu) == {
        "cpu.shares": "1024",
        "cpu.idle": "0",
        "cpu.cfs_period_us": "50000",
        "cpu.cfs_quota_us": "20000",
        "cpu.cfs_burst_us": "0",
        "cpuset.cpus": "0-1",
        "cpuset.mems": "0",
    }
    assert v2(cpu=cpu) == {
        "cpu.weight": "100",
        "cpu.idle": "0",
        "cpu.max": "20000 50000",
        "cpu.max.burst": "0",
        "cpuset.cpus": "0-1",
        "cpuset.mems": "0",
    }


def test_cpu_quota_without_period_and_back() -> None:
    assert v2(cpu={"quota": 5000}) == {"cpu.max": "5000 100000"}
    assert v2(cpu={"quota": -1}) == {"cpu.max": "max 100000"}
    assert v2(cpu={"period": 5000}) == {"cpu.max": "max 5000"}
    assert resources.v2({"cpu": {"period": 5000}})[0][2] == "/linux/resources/cpu/period"


def test_realtime_is_of_v1() -> None:
    cpu: CPU = {"realtimeRuntime": 900, "realtimePeriod": 1000}
    assert list(v1(cpu=cpu)) == ["cpu.rt_period_us", "cpu.rt_runtime_us"]
    assert v2(cpu=cpu) == {}
    assert len(resources.ignored({"cpu": cpu}, version=2)) == 2


@pytest.mark.parametrize("shares", [1, 262145])
def test_v1_shares_out_of_range(shares: int) -> None:
    with pytest.raises(OciError):
        v1(cpu={"shares": shares})


def test_shares_to_weight_is_the_formula() -> None:
    expected = {1: 1, 2: 1, 1024: 100, 262144: 10000, 300000: 10000}
    assert {shares: resources.shares_to_weight(shares) for shares in expected} == expected
    for shares in [*range(3, 5000), *range(5000, 262144, 997)]:
        exponent = math.log2(shares)
        exact = 10 ** ((exponent**2 + 125 * exponent) / 612 - 7 / 34)
        assert abs(resources.shares_to_weight(shares) - math.ceil(exact)) <= (
            abs(exact - round(exact)) < 1e-9
        )


def test_pids() -> None:
    assert v1(pids={"limit": 5}) == v2(pids={"limit": 5}) == {"pids.max": "5"}
    assert v1(pids={"limit": -1}) == {"pids.max": "max"}
    assert v2(pids={"limit": 0}) == {"pids.max": "1"}
    assert v2(pids={}) == {}


def test_block_io() -> None:
    block: BlockIO = {
        "weight": 500,
        "leafWeight": 10,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 1000, "leafWeight": 20}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 0}],
    }
    assert resources.v1({"blockIO": block}) == [
        ("blkio.weight", "500", "/linux/resources/blockIO/weight"),
        ("blkio.leaf_weight", "10", "/linux/resources/blockIO/leafWeight"),
        ("blkio.weight_device", "8:0 1000", "/linux/resources/blockIO/weightDevice/0/weight"),
        ("blkio.leaf_weight_device", "8:0 20", "/linux/resources/blockIO/weightDevice/0/leafWeight"),
        ("blkio.throttle.read_bps_device", "8:0 600", "/linux/resources/blockIO/throttleReadBpsDevice/0"),
        ("blkio.throttle.write_iops_device", "8:16 0", "/linux/resources/blockIO/throttleWriteIOPSDevice/0"),
    ]
    assert [write[:2] for write in resources.v2({"blockIO": block})] == [
        ("io.weight", "4950"),
        ("io.weight", "8:0 10000"),
        ("io.max", "8:0 rbps=600"),
        ("io.max", "8:16 wiops=max"),
    ]
    assert resources.ignored({"blockIO": block}, version=2) == [
        "/linux/resources/blockIO/leafWeight",
        "/linux/resources/blockIO/weightDevice/0/leafWeight",
    ]
    assert resources.v2({"blockIO": block}, bfq=True)[0][:2] == ("io.bfq.weight", "500")
    assert resources.v1({"blockIO": block}, bfq=True)[0][0] == "blkio.bfq.weight"
    assert resources.block_weight_to_io(10) == 1


def test_huge_pages() -> None:
    limits: list[HugepageLimit] = [{"pageSize": "2MB", "limit": 4194304}]
    assert v1(hugepageLimits=limits) == {
        "hugetlb.2MB.limit_in_bytes": "4194304",
        "hugetlb.2MB.rsvd.limit_in_bytes": "4194304",
    }
    assert list(v2(hugepageLimits=limits)) == ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"]


def test_network_and_rdma() -> None:
    network: Network = {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 5}]}
    assert v1(network=network) == {"net_cls.classid": "1048577", "net_prio.ifpriomap": "eth0 5"}
    assert v2(network=network) == {}
    rdma: dict[str, Rdma] = {
        "mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000},
        "rxe3": {"hcaObjects": 0},
        "none": {},
    }
    writes = [("rdma.max", "mlx5_1 hca_handle=3 hca_object=10000"), ("rdma.max", "rxe3 hca_object=0")]
    assert [write[:2] for write in resources.v2({"rdma": rdma})] == writes


def test_unified_is_last_and_line_by_line() -> None:
    writes = resources.v2(
        {"pids": {"limit": 3}, "unified": {"pids.max": "7", "io.max": "8:0 rbps=1\n8:16 wbps=2\n"}}
    )
    assert writes == [
        ("pids.max", "3", "/linux/resources/pids/limit"),
        ("pids.max", "7", "/linux/resources/unified/pids.max"),
        ("io.max", "8:0 rbps=1", "/linux/resources/unified/io.max"),
        ("io.max", "8:16 wbps=2", "/linux/resources/unified/io.max"),
    ]


def test_unified_needs_v2() -> None:
    with pytest.raises(OciError) as caught:
        resources.v1({"unified": {"memory.max": "1"}})
    assert caught.value.pointer == "/linux/resources/unified"


def test_optional_files() -> None:
    assert resources.optional("memory.swap.max", "max")
    assert not resources.optional("memory.swap.max", "5")
    assert resources.optional("hugetlb.2MB.rsvd.max", "5")
    assert not resources.optional("hugetlb.2MB.max", "5")
