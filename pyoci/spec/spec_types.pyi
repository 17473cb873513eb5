# Made by schemas/spec_types.py: change the schemas, not this file. For the type checker alone; it cannot be imported.
from typing import Literal, Required, TypeAlias, TypedDict

class Spec(TypedDict, total=False):
    """config.md"""

    ociVersion: Required[str]
    hooks: Hooks
    annotations: dict[str, str]
    hostname: str
    domainname: str
    mounts: list[Mount]
    root: Root
    process: Process
    linux: Linux
    solaris: dict[str, object]
    windows: dict[str, object]
    vm: dict[str, object]
    zos: dict[str, object]
    freebsd: dict[str, object]

class Hooks(TypedDict, total=False):
    """config.md, POSIX-platform Hooks"""

    prestart: list[Hook]
    createRuntime: list[Hook]
    createContainer: list[Hook]
    startContainer: list[Hook]
    poststart: list[Hook]
    poststop: list[Hook]

class Hook(TypedDict, total=False):
    """config.md, POSIX-platform Hooks"""

    path: Required[str]
    args: list[str]
    env: list[str]
    timeout: int

HookName: TypeAlias = Literal[
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
]

class Mount(TypedDict, total=False):
    """config.md, Mounts"""

    source: str
    destination: Required[str]
    options: list[str]
    type: str
    uidMappings: list[IDMapping]
    gidMappings: list[IDMapping]

class IDMapping(TypedDict, total=False):
    """config-linux.md, User namespace mappings; config.md, POSIX-platform Mounts"""

    containerID: Required[int]
    hostID: Required[int]
    size: Required[int]

class Root(TypedDict, total=False):
    """config.md, Root"""

    path: Required[str]
    readonly: bool

class Process(TypedDict, total=False):
    """config.md, Process"""

    args: list[str]
    commandLine: str
    consoleSize: ConsoleSize
    cwd: Required[str]
    env: list[str]
    terminal: bool
    user: User
    capabilities: Capabilities
    apparmorProfile: str
    oomScoreAdj: int
    selinuxLabel: str
    ioPriority: IOPriority
    noNewPrivileges: bool
    scheduler: Scheduler
    rlimits: list[Rlimit]
    execCPUAffinity: ExecCPUAffinity

class ConsoleSize(TypedDict, total=False):
    """config.md, Process"""

    height: Required[int]
    width: Required[int]

class User(TypedDict, total=False):
    """config.md, POSIX-platform User"""

    uid: int
    gid: int
    umask: int
    additionalGids: list[int]
    username: str

class Capabilities(TypedDict, total=False):
    """config.md, Linux Process; capabilities(7)"""

    bounding: list[str]
    permitted: list[str]
    effective: list[str]
    inheritable: list[str]
    ambient: list[str]

CapabilitySet: TypeAlias = Literal["bounding", "permitted", "effective", "inheritable", "ambient"]

# config.md, Linux Process; ioprio_set(2)
IOPriority = TypedDict(
    "IOPriority",
    {
        "class": Required[Literal["IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"]],
        "priority": int,
    },
    total=False,
)

class Scheduler(TypedDict, total=False):
    """config.md, Linux Process; sched_setattr(2)"""

    policy: Required[SchedulerPolicy]
    nice: int
    priority: int
    flags: list[SchedulerFlag]
    runtime: int
    deadline: int
    period: int

SchedulerPolicy: TypeAlias = Literal[
    "SCHED_OTHER",
    "SCHED_FIFO",
    "SCHED_RR",
    "SCHED_BATCH",
    "SCHED_ISO",
    "SCHED_IDLE",
    "SCHED_DEADLINE",
]

SchedulerFlag: TypeAlias = Literal[
    "SCHED_FLAG_RESET_ON_FORK",
    "SCHED_FLAG_RECLAIM",
    "SCHED_FLAG_DL_OVERRUN",
    "SCHED_FLAG_KEEP_POLICY",
    "SCHED_FLAG_KEEP_PARAMS",
    "SCHED_FLAG_UTIL_CLAMP_MIN",
    "SCHED_FLAG_UTIL_CLAMP_MAX",
]

class Rlimit(TypedDict, total=False):
    """config.md, POSIX process; getrlimit(2)"""

    hard: Required[int]
    soft: Required[int]
    type: Required[str]

class ExecCPUAffinity(TypedDict, total=False):
    """config.md, Linux Process"""

    initial: str
    final: str

AffinityName: TypeAlias = Literal["initial", "final"]

class Linux(TypedDict, total=False):
    """config-linux.md"""

    devices: list[Device]
    netDevices: dict[str, NetDevice]
    uidMappings: list[IDMapping]
    gidMappings: list[IDMapping]
    namespaces: list[Namespace]
    resources: Resources
    cgroupsPath: str
    rootfsPropagation: RootfsPropagation
    seccomp: Seccomp
    sysctl: dict[str, str]
    maskedPaths: list[str]
    readonlyPaths: list[str]
    mountLabel: str
    intelRdt: IntelRdt
    memoryPolicy: MemoryPolicy
    personality: Personality
    timeOffsets: TimeOffsets

class Device(TypedDict, total=False):
    """config-linux.md, Devices"""

    type: Required[str]
    path: Required[str]
    fileMode: int
    major: int
    minor: int
    uid: int
    gid: int

class NetDevice(TypedDict, total=False):
    """config-linux.md, Network Devices"""

    name: str

class Namespace(TypedDict, total=False):
    """config-linux.md, Namespaces"""

    type: Required[NamespaceType]
    path: str

NamespaceType: TypeAlias = Literal["mount", "pid", "network", "uts", "ipc", "user", "cgroup", "time"]

class Resources(TypedDict, total=False):
    """config-linux.md, Control groups"""

    unified: dict[str, str]
    devices: list[DeviceCgroup]
    pids: Pids
    blockIO: BlockIO
    cpu: CPU
    hugepageLimits: list[HugepageLimit]
    memory: Memory
    network: Network
    rdma: dict[str, Rdma]

class DeviceCgroup(TypedDict, total=False):
    """config-linux.md, Allowed Device list"""

    allow: Required[bool]
    type: str
    major: int
    minor: int
    access: str

class Pids(TypedDict, total=False):
    """config-linux.md, PIDs"""

    limit: int

class BlockIO(TypedDict, total=False):
    """config-linux.md, Block IO"""

    weight: int
    leafWeight: int
    throttleReadBpsDevice: list[BlockIODeviceThrottle]
    throttleWriteBpsDevice: list[BlockIODeviceThrottle]
    throttleReadIOPSDevice: list[BlockIODeviceThrottle]
    throttleWriteIOPSDevice: list[BlockIODeviceThrottle]
    weightDevice: list[BlockIODeviceWeight]

class BlockIODeviceThrottle(BlockIODevice, total=False):
    """config-linux.md, Block IO"""

    rate: int

class BlockIODevice(TypedDict, total=False):
    """config-linux.md, Block IO"""

    major: Required[int]
    minor: Required[int]

class BlockIODeviceWeight(BlockIODevice, total=False):
    """config-linux.md, Block IO"""

    weight: int
    leafWeight: int

ThrottleName: TypeAlias = Literal[
    "throttleReadBpsDevice",
    "throttleWriteBpsDevice",
    "throttleReadIOPSDevice",
    "throttleWriteIOPSDevice",
]

class CPU(TypedDict, total=False):
    """config-linux.md, CPU"""

    cpus: str
    mems: str
    period: int
    quota: int
    burst: int
    realtimePeriod: int
    realtimeRuntime: int
    shares: int
    idle: int

CPUNumber: TypeAlias = Literal[
    "period",
    "quota",
    "burst",
    "realtimePeriod",
    "realtimeRuntime",
    "shares",
    "idle",
]

class HugepageLimit(TypedDict, total=False):
    """config-linux.md, Huge page limits"""

    pageSize: Required[str]
    limit: Required[int]

class Memory(TypedDict, total=False):
    """config-linux.md, Memory"""

    kernel: int
    kernelTCP: int
    limit: int
    reservation: int
    swap: int
    swappiness: int
    disableOOMKiller: bool
    useHierarchy: bool
    checkBeforeUpdate: bool

MemoryNumber: TypeAlias = Literal["kernel", "kernelTCP", "limit", "reservation", "swap", "swappiness"]

class Network(TypedDict, total=False):
    """config-linux.md, Network"""

    classID: int
    priorities: list[NetworkInterfacePriority]

class NetworkInterfacePriority(TypedDict, total=False):
    """config-linux.md, Network"""

    name: Required[str]
    priority: Required[int]

class Rdma(TypedDict, total=False):
    """config-linux.md, RDMA"""

    hcaHandles: int
    hcaObjects: int

RootfsPropagation: TypeAlias = Literal[
    "private",
    "shared",
    "slave",
    "unbindable",
    "rprivate",
    "rshared",
    "rslave",
    "runbindable",
]

class Seccomp(TypedDict, total=False):
    """config-linux.md, Seccomp"""

    defaultAction: Required[SeccompAction]
    defaultErrnoRet: int
    flags: list[SeccompFlag]
    listenerPath: str
    listenerMetadata: str
    architectures: list[SeccompArch]
    syscalls: list[Syscall]

SeccompAction: TypeAlias = Literal[
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
]

SeccompFlag: TypeAlias = Literal[
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
]

SeccompArch: TypeAlias = Literal[
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
]

class Syscall(TypedDict, total=False):
    """config-linux.md, Seccomp"""

    names: Required[list[str]]
    action: Required[SeccompAction]
    errnoRet: int
    args: list[SyscallArg]

class SyscallArg(TypedDict, total=False):
    """config-linux.md, Seccomp"""

    index: Required[int]
    value: Required[int]
    valueTwo: int
    op: Required[SeccompOperators]

SeccompOperators: TypeAlias = Literal[
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_MASKED_EQ",
]

class IntelRdt(TypedDict, total=False):
    """config-linux.md, IntelRdt"""

    closID: str
    schemata: list[str]
    l3CacheSchema: str
    memBwSchema: str
    enableMonitoring: bool

class MemoryPolicy(TypedDict, total=False):
    """config-linux.md, Memory policy"""

    mode: MemoryPolicyMode
    nodes: str
    flags: list[MemoryPolicyFlag]

MemoryPolicyMode: TypeAlias = Literal[
    "MPOL_DEFAULT",
    "MPOL_BIND",
    "MPOL_INTERLEAVE",
    "MPOL_WEIGHTED_INTERLEAVE",
    "MPOL_PREFERRED",
    "MPOL_PREFERRED_MANY",
    "MPOL_LOCAL",
]

MemoryPolicyFlag: TypeAlias = Literal["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"]

class Personality(TypedDict, total=False):
    """config-linux.md, Personality; personality(2)"""

    domain: PersonalityDomain
    flags: list[str]

PersonalityDomain: TypeAlias = Literal["LINUX", "LINUX32"]

class TimeOffsets(TypedDict, total=False):
    """config-linux.md, Offset for Time Namespace"""

    boottime: TimeOffset
    monotonic: TimeOffset

class TimeOffset(TypedDict, total=False):
    """config-linux.md, Offset for Time Namespace"""

    secs: int
    nanosecs: int

Clock: TypeAlias = Literal["boottime", "monotonic"]

class State(TypedDict, total=False):
    """runtime.md, State"""

    ociVersion: Required[str]
    id: Required[str]
    status: Required[Literal["creating", "created", "running", "stopped", "paused"]]
    pid: int
    bundle: Required[str]
    annotations: dict[str, str]

class Features(TypedDict, total=False):
    """features.md"""

    ociVersionMin: Required[str]
    ociVersionMax: Required[str]
    hooks: list[str]
    mountOptions: list[str]
    annotations: dict[str, str]
    potentiallyUnsafeConfigAnnotations: list[str]
    linux: FeaturesLinux

class FeaturesLinux(TypedDict, total=False):
    """features-linux.md"""

    namespaces: list[NamespaceType]
    capabilities: list[str]
    cgroup: FeaturesCgroup
    seccomp: FeaturesSeccomp
    apparmor: FeaturesApparmor
    selinux: FeaturesSelinux
    intelRdt: FeaturesIntelRdt
    memoryPolicy: FeaturesMemoryPolicy
    mountExtensions: FeaturesMountExtensions
    netDevices: FeaturesNetDevices

class FeaturesCgroup(TypedDict, total=False):
    """features-linux.md, Cgroup"""

    v1: bool
    v2: bool
    systemd: bool
    systemdUser: bool
    rdma: bool

class FeaturesSeccomp(TypedDict, total=False):
    """features-linux.md, Seccomp"""

    enabled: bool
    actions: list[SeccompAction]
    operators: list[SeccompOperators]
    archs: list[SeccompArch]
    knownFlags: list[SeccompFlag]
    supportedFlags: list[SeccompFlag]

class FeaturesApparmor(TypedDict, total=False):
    """features-linux.md, AppArmor"""

    enabled: bool

class FeaturesSelinux(TypedDict, total=False):
    """features-linux.md, SELinux"""

    enabled: bool

class FeaturesIntelRdt(TypedDict, total=False):
    """features-linux.md, Intel RDT"""

    enabled: bool
    schemata: bool
    monitoring: bool

class FeaturesMemoryPolicy(TypedDict, total=False):
    """features-linux.md, Memory policy"""

    modes: list[MemoryPolicyMode]
    flags: list[MemoryPolicyFlag]

class FeaturesMountExtensions(TypedDict, total=False):
    """features-linux.md, MountExtensions"""

    idmap: FeaturesIdmap

class FeaturesIdmap(TypedDict, total=False):
    """features-linux.md, MountExtensions"""

    enabled: bool

class FeaturesNetDevices(TypedDict, total=False):
    """features-linux.md, Net Devices"""

    enabled: bool
