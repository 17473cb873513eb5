# Made by csrc/build/shim_stub.py: change the headers of csrc/, not this file. What is not `ffi` or `lib` is for the
# type checker alone.
from collections.abc import Sequence
from typing import Generic, Literal, Never, SupportsIndex, TypeVar, overload, type_check_only

T_co = TypeVar("T_co", covariant=True)

@type_check_only
class CData:
    """A value of a C type, such as a pointer."""

@type_check_only
class Pointer(CData, Generic[T_co]):
    """A pointer to, or an array of, T_co; a `char` is `bytes`."""

    def __getitem__(self, index: SupportsIndex, /) -> T_co: ...
    def __len__(self) -> int: ...

@type_check_only
class PlanHeader(CData):
    magic: int
    size: int
    count: int
    flags: int

@type_check_only
class PlanReply(CData):
    kind: int
    step: int
    op: int
    error: int
    length: int

@type_check_only
class PyociSeccompTest(CData):
    arg: int
    op: int
    a: int
    b: int

@type_check_only
class Spawn(CData):
    clone_flags: int
    cgroup_fd: int
    directory: int
    wait_for_maps: int
    become_root: int
    preserved: int
    die_with_parent: int
    sync: int
    pid: int
    pidfd: int
    preparer: CData
    child: CData

@type_check_only
class Integer(Pointer[int]):
    def __setitem__(self, index: SupportsIndex, value: int, /) -> None: ...

@type_check_only
class Buffer:
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __getitem__(self, index: slice, /) -> bytes: ...
    def __len__(self) -> int: ...

@type_check_only
class FFI:
    NULL: Pointer[Never]
    @overload
    def new(self, cdecl: Literal["char[]"], init: int | bytes, /) -> Pointer[bytes]: ...
    @overload
    def new(self, cdecl: Literal["int *"], init: int = 0, /) -> Integer: ...
    @overload
    def new(self, cdecl: Literal["struct plan_header *"], init: object = ..., /) -> PlanHeader: ...
    @overload
    def new(
        self, cdecl: Literal["struct plan_header[]"], init: int | Sequence[object], /
    ) -> Pointer[PlanHeader]: ...
    @overload
    def new(self, cdecl: Literal["struct plan_reply *"], init: object = ..., /) -> PlanReply: ...
    @overload
    def new(
        self, cdecl: Literal["struct plan_reply[]"], init: int | Sequence[object], /
    ) -> Pointer[PlanReply]: ...
    @overload
    def new(
        self, cdecl: Literal["struct pyoci_seccomp_test *"], init: object = ..., /
    ) -> PyociSeccompTest: ...
    @overload
    def new(
        self, cdecl: Literal["struct pyoci_seccomp_test[]"], init: int | Sequence[object], /
    ) -> Pointer[PyociSeccompTest]: ...
    @overload
    def new(self, cdecl: Literal["struct spawn *"], init: object = ..., /) -> Spawn: ...
    @overload
    def new(self, cdecl: Literal["struct spawn[]"], init: int | Sequence[object], /) -> Pointer[Spawn]: ...
    def buffer(self, cdata: CData, size: int = -1, /) -> Buffer: ...
    def memmove(self, dest: CData, src: CData | bytes, n: int, /) -> None: ...
    def sizeof(self, cdecl: str | CData, /) -> int: ...
    def string(self, cdata: Pointer[bytes], /) -> bytes: ...

@type_check_only
class Lib:
    PLAN_MAX_TIMEOUT: int
    PLAN_MAX_REPLY: int
    PLAN_MAX_STRINGS: int
    PLAN_MAX_FDS: int
    PLAN_MAX_OPS: int
    PLAN_MAX_SIZE: int
    PLAN_MAGIC: int
    PLAN_TIMED: int
    REG_COUNT: int
    REG_KEPT: int
    REG_PASSED: int
    REG_SYSFS: int
    REG_PROCFS: int
    REG_CGROUP: int
    REG_MASK: int
    REG_NULL: int
    REG_MOUNTPOINT: int
    REG_MOUNT: int
    REG_PROC: int
    REG_ROOT: int
    REG_NONE: int
    MOUNTPOINT_COUNT: int
    MOUNTPOINT_LIKE_MOUNT: int
    MOUNTPOINT_FILE: int
    MOUNTPOINT_DIRECTORY: int
    MOUNTPOINT_EXISTS: int
    REPLY_FORKED: int
    REPLY_ERROR: int
    REPLY_TIMES: int
    REPLY_TERMINAL: int
    REPLY_READY: int
    REPLY_DONE: int
    def pyoci_bpf_load(
        self, code: bytes | Pointer[bytes], size: int, log: Pointer[bytes], log_size: int, /
    ) -> int: ...
    def pyoci_bpf_attach(self, cgroup: int, program: int, fresh: int, /) -> int: ...
    def pyoci_unix_connect(self, name: bytes | Pointer[bytes], length: int, /) -> int: ...
    def pyoci_start_program(
        self,
        path: bytes | Pointer[bytes],
        argv: Sequence[Pointer[bytes]] | Pointer[Pointer[bytes]],
        environment: Sequence[Pointer[bytes]] | Pointer[Pointer[bytes]],
        files: Sequence[int] | Pointer[int],
        directory: int,
        /,
    ) -> int: ...
    def pyoci_seccomp_open(self, /) -> int: ...
    def pyoci_seccomp_path(self, /) -> Pointer[bytes]: ...
    def pyoci_seccomp_version(self, /) -> int: ...
    def pyoci_seccomp_arch(self, name: bytes | Pointer[bytes], /) -> int: ...
    def pyoci_seccomp_native(self, /) -> int: ...
    def pyoci_seccomp_number(self, arch: int, name: bytes | Pointer[bytes], /) -> int: ...
    def pyoci_seccomp_new(self, action: int, /) -> CData: ...
    def pyoci_seccomp_free(self, filter: CData, /) -> None: ...
    def pyoci_seccomp_add_arch(self, filter: CData, arch: int, /) -> int: ...
    def pyoci_seccomp_add_rule(
        self,
        filter: CData,
        action: int,
        number: int,
        count: int,
        tests: PyociSeccompTest | Pointer[PyociSeccompTest],
        /,
    ) -> int: ...
    def pyoci_seccomp_optimize(self, filter: CData, level: int, /) -> int: ...
    def pyoci_seccomp_export(self, filter: CData, fd: int, /) -> int: ...
    def pyoci_seccomp_flags_known(self, flags: int, /) -> int: ...
    def pyoci_prepare(self, spawn: Spawn, unshare_flags: int, /) -> int: ...
    def pyoci_spawn(self, spawn: Spawn, /) -> int: ...
    def pyoci_release(self, spawn: Spawn, /) -> None: ...
    def pyoci_send_plan(
        self, sync: int, plan: bytes | CData, size: int, fds: Sequence[int] | Pointer[int], count: int, /
    ) -> int: ...
    def pyoci_send_byte(self, sync: int, /) -> int: ...
    def pyoci_receive(self, sync: int, buffer: CData, size: int, fd: Pointer[int], /) -> int: ...
    def pyoci_send_fd(
        self, socket_path: bytes | Pointer[bytes], fd: int, name: bytes | Pointer[bytes], name_length: int, /
    ) -> int: ...
    def pyoci_open_netlink(self, network: int, /) -> int: ...
    def pyoci_open_tree(
        self, directory: int, path: bytes | Pointer[bytes], recursive: int, nofollow: int, /
    ) -> int: ...
    def pyoci_open_tree_inside(
        self,
        pidfd: int,
        rootfs: bytes | Pointer[bytes],
        path: bytes | Pointer[bytes],
        recursive: int,
        nofollow: int,
        /,
    ) -> int: ...
    def pyoci_idmap_mount(self, mount: int, user_namespace: int, recursive: int, /) -> int: ...
    def pyoci_pidfd_signal(self, pidfd: int, signal: int, /) -> int: ...
    def pyoci_permitted_capabilities(self, /) -> int: ...
    def pyoci_raise_limit(self, pid: int, resource: int, hard: int, /) -> int: ...
    def pyoci_namespace_type(self, fd: int, /) -> int: ...
    def pyoci_ignored_signals(self, /) -> int: ...
    def pyoci_note_signals(self, fd: int, /) -> None: ...
    def pyoci_restore_signals(self, /) -> None: ...
    def pyoci_is_cgroup(self, path: bytes | Pointer[bytes], /) -> int: ...
    def pyoci_open_cgroup(self, directory: int, path: bytes | Pointer[bytes], /) -> int: ...
    def pyoci_terminal_raw(self, fd: int, /) -> int: ...
    def pyoci_terminal_raw_again(self, /) -> int: ...
    def pyoci_terminal_restore(self, /) -> None: ...
    def pyoci_terminal_peer(self, master: int, /) -> int: ...
    def pyoci_terminal_plain_newlines(self, master: int, /) -> int: ...
    def pyoci_terminal_copy_size(self, from_: int, to: int, /) -> int: ...

ffi: FFI
lib: Lib
