# The values that a command line gives, by the keys of the table (pyoci.cli.table); for the type checker alone.
from typing import TypedDict

class Settings(TypedDict, total=False):
    """Of the global options."""

    root: str
    log: str
    log_format: str
    debug: bool
    systemd_cgroup: bool
    cgroup_manager: str
    rootless: bool | None
    help: bool
    version: bool
    verbose: bool
    log_level: str

class Values(TypedDict, total=False):
    """Of the options of all commands."""

    additional_gids: list[int]
    all: bool
    apparmor: str
    blkio_weight: str
    bundle: str
    check: bool
    caps: list[str]
    cgroups: list[str]
    config: str
    console_socket: str
    cpu_burst: str
    cpu_idle: str
    cpu_period: str
    cpu_quota: str
    cpu_rt_period: str
    cpu_rt_runtime: str
    cpu_share: str
    cpuset_cpus: str
    cpuset_mems: str
    cwd: str
    detach: bool
    env: list[str]
    explain_seccomp: bool
    features: bool
    fix: bool
    force: bool
    format: str
    help: bool
    id: str
    ignore_paused: bool
    keep: bool
    kernel_memory: str
    kernel_memory_tcp: str
    l3_cache_schema: str
    like: str
    man: bool
    mem_bw_schema: str
    memory: str
    merge: str
    memory_reservation: str
    memory_swap: str
    no_new_keyring: bool
    no_new_privs: bool
    no_pivot: bool
    output: str
    pid_file: str
    pidfd_socket: str
    pids_limit: str
    preserve_fds: int
    process: str
    process_label: str
    quiet: bool
    regex: bool
    resources: str
    rootless: bool
    run: bool
    state: bool
    steps: bool
    strict: bool
    svg: str
    trace: str
    tty: bool
    user: str
    verbose: bool
    write: bool
