"""Each protection of the runtime, how it is taken out, and the tests that fail then. `lane.py` holds every line to it.

docs/security.md says which promise a protection keeps.
"""

from __future__ import annotations

from typing import NamedTuple


class Protection(NamedTuple):
    """A protection, as text of one source file that becomes another text.

    name   for people, and for `lane.py NAME`
    file   of the source, from the top of the tree
    old    what stands there once
    new    what takes its place
    tests  arguments for pytest; at least one of these tests must fail
    holes  published holes of other runtimes that this one would have then; each of the tests is for one of them
    also   more changes (file, old, new): protections that each stop what the tests try, taken out together
    """

    name: str
    file: str
    old: str
    new: str
    tests: str
    holes: tuple[str, ...] = ()
    also: tuple[tuple[str, str, str], ...] = ()


_ESCAPES, _HOST, _INIT, _DEVICES = (
    f"tests/security/test_{name}.py" for name in ("escapes", "host_files", "init_process", "host_devices")
)
_STATE = "tests/security/test_unsafe_state.py"
_PERMISSIONS = "pyoci/lifecycle/permissions.py"
_OWN_NULL = """if (mknodat(masks, "null", S_IFCHR | 0666, makedev(1, 3)) == 0)
        return sys_open_tree(masks, "null", TREE_CLONE);"""
_WORDS = "tests/security/test_hostile_words.py"
_NAMES = "tests/unit/test_base_printable.py"
_RESOLVE = "RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve);\n\n    return fd < 0 ? failed_at"

PROTECTIONS = [
    Protection(
        "memfd-seals",
        "csrc/shim/spawn.c",
        "fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0",
        "fcntl(fd, F_GETFD) < 0",
        f"{_INIT}::test_the_image_of_the_init_is_sealed",
        holes=("CVE-2019-5736",),
    ),
    Protection(
        "non-dumpable",
        "csrc/init/process.c",
        "    check(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), STEP_PR_SET_DUMPABLE, NULL);\n",
        "    check(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), STEP_PR_SET_DUMPABLE, NULL);\n",
        f"{_INIT}::test_the_waiting_init_is_not_dumpable",
    ),
    Protection(
        "waiting-init-descriptors",
        "csrc/init/program.c",
        "        if (reg != keep)\n            put(reg, -1);",
        "        if (reg == REG_COUNT)\n            put(reg, keep);",
        f"{_INIT}::test_the_descriptors_of_the_waiting_init",
    ),
    Protection(
        "console-target-through-links",
        "csrc/init/console.c",
        "0600, RESOLVE_NO_SYMLINKS, &made)",
        "0600, 0, &made)",
        f"{_INIT}::test_a_console_that_is_a_link",
        holes=("CVE-2026-88264",),
    ),
    Protection(
        "devpts-is-devpts",
        "csrc/init/console.c",
        "    if (where.f_type != DEVPTS_MAGIC)",
        "    if (where.f_type == 0)",
        f"{_ESCAPES} -k no_terminal_from_what_is_no_devpts",
        holes=("CVE-2025-52565",),
    ),
    Protection(
        "lookups-in-root",
        "csrc/init/resolve.c",
        _RESOLVE,
        _RESOLVE.replace("RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS", "0u"),
        f"{_HOST} -k mount_points_are_made",
        holes=("CVE-2019-18837", "CVE-2025-24965"),
    ),
    Protection(
        "links-in-missing-components",
        "csrc/init/resolve.c",
        "O_PATH, 0, RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH)",
        "O_PATH, 0, 0)",
        f"{_ESCAPES} -k race_on",
        holes=("CVE-2021-30465", "CVE-2024-45310"),
    ),
    Protection(
        "directory-outside",
        "csrc/init/process.c",
        "fd = sys_openat2(AT_FDCWD, op->path, O_PATH | O_DIRECTORY, 0, RESOLVE_NO_MAGICLINKS);",
        "fd = open(op->path, O_PATH | O_DIRECTORY | O_CLOEXEC);",
        f"{_ESCAPES} -k passed_on_is_no_working_directory",
        holes=("CVE-2024-21626",),
        # The look-up goes through no magic link, and getcwd(2) shows a directory that came otherwise.
        also=(("csrc/init/process.c", "    if (where[0] != '/')\n", "    if (where[0] == 0)\n"),),
    ),
    Protection(
        "no-inherited-descriptors",
        "csrc/init/main.c",
        "    if (sys_close_range((unsigned)place + 1, ~0u) < 0)",
        "    if (sys_close_range(~0u, ~0u) < 0)",
        f"{_ESCAPES} -k 'descriptor or inherited'",
    ),
    Protection(
        "signals-reset",
        "csrc/init/main.c",
        "    reset_signals();\n",
        "    (void)reset_signals;\n",
        f"{_INIT} -k signals_of_the_caller",
    ),
    Protection(
        "caller-umask",
        "csrc/init/main.c",
        "    umask(0); /*",
        "    /*",
        f"{_INIT}::test_the_mask_of_the_caller_counts_for_nothing",
    ),
    Protection(
        "bounding-set",
        "csrc/init/process.c",
        "        if (op->capabilities >> capability & 1)\n            continue;",
        "        if (op->capabilities || capability < 64)\n            continue;",
        f"{_ESCAPES} -k 'bounding or has_none_either'",
        holes=("youki#3434",),
    ),
    Protection(
        "ambient-set",
        "csrc/init/process.c",
        "    check(sys_capset(op->effective, op->permitted, op->inheritable), STEP_capset, NULL);",
        "    check(sys_capset(op->effective, op->permitted, op->permitted), STEP_capset, NULL);",
        f"{_ESCAPES} -k inheritable",
        holes=("CVE-2022-29162", "CVE-2022-27650", "CVE-2025-27612"),
    ),
    Protection(
        "groups-of-the-caller",
        "csrc/init/process.c",
        "    if (!op->keep_groups)\n        check(setgroups(",
        "    if (op->groups.count)\n        check(setgroups(",
        f"{_ESCAPES} -k groups_and_capabilities_of_the_caller",
    ),
    Protection(
        "no-new-privs",
        "csrc/init/process.c",
        "    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), STEP_PR_SET_NO_NEW_PRIVS, NULL);",
        "    check(0, STEP_PR_SET_NO_NEW_PRIVS, NULL);",
        "tests/integration/test_process.py -k privileges",
    ),
    Protection(
        "old-root",
        "csrc/init/rootfs.c",
        '    check(umount2(".", MNT_DETACH), STEP_umount, "old root");\n',
        "",
        f"{_ESCAPES} -k old_root_is_gone",
    ),
    Protection(
        "masked-files",
        "csrc/init/mounts.c",
        "        cover(REG_NULL, &state.null_attached, target);",
        "        (void)state;",
        f"{_ESCAPES} -k masks_stay",
    ),
    Protection(
        "masked-directories",
        "csrc/init/mounts.c",
        "check(sys_mount_setattr(get(REG_MASK), 0, ATTRIBUTE_READONLY, 0, 0)",
        "check(sys_mount_setattr(get(REG_MASK), 0, 0, 0, 0)",
        f"{_ESCAPES} -k masked_directories_take_nothing",
    ),
    Protection(
        "masks-own-null",
        "csrc/init/mounts.c",
        _OWN_NULL,
        'if (masks >= 0)\n        return sys_open_tree(get(REG_ROOT), "dev/null", TREE_CLONE);',
        f"{_DEVICES} -k cve_2025_31133",
        holes=("CVE-2025-31133", "CVE-2025-62161"),
    ),
    Protection(
        "masks-not-the-hosts-null",
        "csrc/init/mounts.c",
        _OWN_NULL,
        "errno = EPERM;",
        f"{_DEVICES} -k neither_locks",
    ),
    Protection(
        "masks-read-only",
        "csrc/init/mounts.c",
        "check(sys_mount_setattr(null, 0, ATTRIBUTE_READONLY, 0, 0)",
        "check(sys_mount_setattr(null, 0, 0, 0, 0)",
        f"{_DEVICES} -k can_not_change_what_masks",
    ),
    Protection(
        "devices-read-only",
        "pyoci/plan/devices.py",
        "ops.mount_setattr(mount=lib.REG_MOUNT, set=mount_options.RDONLY)",
        "ops.mount_setattr(mount=lib.REG_MOUNT)",
        f"{_DEVICES} -k can_not_change_the_hosts_devices",
    ),
    Protection(
        "standard-files-own-null",
        "csrc/init/devices.c",
        "        null = open_own_null();",
        "        (void)open_own_null;",
        f"{_DEVICES} -k a_standard_file_is_not_the_hosts",
    ),
    Protection(
        "mounts-not-on-the-hosts-root",
        "csrc/init/mounts.c",
        "state.shared_root ? get(REG_ROOT) : host",
        "state.shared_root ? host : host",
        f"{_DEVICES} -k shows_no_mount",
    ),
    Protection(
        "moved-root-not-shared",
        "csrc/init/rootfs.c",
        "        set_propagation_of(parent, MS_SLAVE);",
        "        (void)set_propagation_of;",
        f"{_DEVICES} -k without_pivot",
    ),
    Protection(
        "read-only-paths",
        "csrc/init/mounts.c",
        "    bind_over(target, TREE_RECURSIVE, target, ATTRIBUTE_READONLY);",
        "    bind_over(target, TREE_RECURSIVE, target, 0);",
        f"{_ESCAPES} -k 'masks_stay or proc_sys'",
    ),
    Protection(
        "null-is-null",
        "csrc/init/devices.c",
        '    null = open_device(get(REG_ROOT), "dev/null", O_RDWR, makedev(1, 3));',
        '    null = open("/dev/null", O_RDWR | O_CLOEXEC);',
        f"{_DEVICES} -k a_standard_file_of_exec",
    ),
    Protection(
        "descriptors-before-execve",
        "csrc/init/program.c",
        "    close_registers();\n    umask(state.mask);",
        "    umask(state.mask);",
        f"{_ESCAPES} -k no_descriptor_is_open_while",
    ),
    Protection(
        "no-fork-after-start",
        "csrc/init/namespaces.c",
        "    if (!is_connected()) /*",
        "    if (0) /*",
        "tests/fuzz/test_init.py::test_no_child_goes_on_after_start",
    ),
    Protection(
        "plan-registers-checked",
        "csrc/init/plan.c",
        "#define FD(f)       op->f < REG_COUNT &&",
        "#define FD(f)       op->f < 0xffff &&",
        "tests/fuzz/test_init.py -k field_that_lies",
    ),
    Protection(
        "root-of-others",
        _PERMISSIONS,
        "    if problem and (acts or not known):",
        "    if problem and not known and not acts:",
        f"{_STATE} -k 'no_verb_acts or default_root'",
    ),
    Protection(
        "entry-of-others",
        _PERMISSIONS,
        "    problem = _unsafe(path, facts, posix.geteuid(), any_owner=context.root_given)\n",
        "    problem = None\n",
        f"{_STATE} -k no_verb_acts",
    ),
    Protection(
        "acl-of-root",
        _PERMISSIONS,
        "    for at in range(_ACL_HEADER, len(acl), _ACL_ENTRY):",
        "    for at in range(0):",
        "tests/unit/test_lifecycle_permissions.py",
    ),
    Protection(
        "pid-file-unnamed",
        "pyoci/base/files.py",
        "            _link_new(path, data, mode)\n",
        "            replace(path, data, mode)\n",
        "tests/unit/test_lifecycle_pid_file.py tests/root/test_killed_create.py",
    ),
    Protection(
        "cgroup-by-identity",
        "pyoci/cgroups/base.py",
        "            if not self.is_own(path):\n",
        "            if not path:\n",
        "tests/root/test_cgroup_identity.py",
    ),
    Protection(
        "freezer-by-identity",
        "pyoci/cgroups/freezer.py",
        "        return tree.identity(path) == ids[path]\n",
        "        return tree.identity(path) is not None\n",
        "tests/root/test_cgroup_identity.py",
    ),
    Protection(
        "process-by-start-time",
        "pyoci/lifecycle/store.py",
        "return bool(self.record.pid) and start_time(self.record.pid) == self.record.start",
        "return bool(self.record.pid) and start_time(self.record.pid) > 0",
        "tests/security/test_reused_pid.py",
    ),
    Protection(
        "root-mount-by-its-ids",
        "pyoci/host/root_mount.py",
        '    return lib.pyoci_mount_id(fd, 0) == record["id"] and unique in (0, lib.pyoci_mount_id(fd, 1))\n',
        "    return fd >= 0 and unique >= 0\n",
        "tests/integration/test_host_mounts.py",
    ),
    Protection(
        "root-mount-is-a-copy",
        "pyoci/host/root_mount.py",
        '    return root == (root_below + place if root_below != "/" else place or "/")\n',
        '    return root != "" and root_below != ""\n',
        "tests/unit/test_host_root_mount.py",
    ),
    Protection(
        "unmount-stays-here",
        "csrc/shim/kernel.c",
        "    if (make_private(mount) < 0)\n        return -errno;\n    snprintf",
        "    snprintf",
        "tests/integration/test_host_mounts.py -k go_with_the_container",
        also=(
            (
                "pyoci/plan/mounts.py",
                "    if host or (register and not inside):",
                "    if register and not inside:",
            ),
        ),
    ),
    Protection(
        "out-of-sight-processes",
        "pyoci/cgroups/base.py",
        "for pid in found - {_OUT_OF_SIGHT}:",
        "for pid in found:",
        "tests/unit/test_cgroups_signals.py",
    ),
    Protection(
        "terminal-output",
        "pyoci/base/files.py",
        "write_all(1, printable.lines(text).encode())",
        'write_all(1, text.encode("utf-8", "surrogateescape"))',
        f"{_NAMES}",
    ),
    Protection(
        "bidirectional-text",
        "pyoci/base/printable.py",
        "    if text.isprintable():\n        return text\n",
        "    if text.isascii() or True:\n        return text\n",
        f"{_NAMES} {_WORDS} -k 'line or obeys'",
    ),
    Protection(
        "hook-timeouts",
        "pyoci/host/programs.py",
        "+ 1), _LONGEST_POLL)",
        "+ 1), 1 << 62)",
        f"{_WORDS} -k very_long_timeout",
    ),
    Protection(
        "name-of-the-init",
        "pyoci/init/exit_status.py",
        "is_init(pid) and _was_killed(pid, pidfd)",
        "is_init(pid)",
        f"{_WORDS} -k name_of_the_init",
    ),
    Protection(
        "gvariant-depth",
        "pyoci/cgroups/dbus/gvariant.py",
        "        if self.depth > _DEPTH:",
        "        if self.depth < 0:",
        "tests/unit/test_cgroups_systemd.py -k no_end",
    ),
    Protection(
        "kernel-file-systems-through-links",
        "pyoci/plan/mounts.py",
        "no_symlinks=kind in _KERNEL_TYPES",
        "no_symlinks=False",
        f"{_HOST} -k proc_and_sys_must_be_directories",
        holes=("CVE-2019-19921", "CVE-2023-27561", "CVE-2023-28642", "CVE-2025-54867"),
    ),
    Protection(
        "user-as-text",
        "pyoci/lifecycle/exec.py",
        "    number = decimal(text, NO_ID - 1)\n",
        '    number = decimal(text[1:] or "0", NO_ID - 1)\n',
        f"{_ESCAPES} -k user_that_is_a_number",
        holes=("CVE-2026-30892",),
    ),
    Protection(
        "cgroup-of-exec",
        "pyoci/cgroups/base.py",
        '    names: list[str] = []\n    for name in below.split("/"):\n',
        '    return f"{path}/{below}"\n    names: list[str] = []\n    for name in below.split("/"):\n',
        "tests/integration/test_exec_options.py -k does_not_leave",
        holes=("runc#5351",),
    ),
    Protection(
        "owner-of-the-callers-terminal",
        "csrc/init/devices.c",
        "        return console && isatty(fd);",
        "        return (console || 1) && isatty(fd);",
        "tests/integration/test_terminals.py -k callers_terminal_keeps_its_owner",
    ),
    Protection(
        "procfs-of-its-own",
        "csrc/init/namespaces.c",
        "    int fd = open_in_proc(op->path);\n",
        '    char path[512] = "proc/";\n    (void)open_in_proc;\n'
        "    int fd = open_in(get(REG_ROOT), strncat(path, op->path, 500), O_WRONLY, 0);\n",
        f"{_HOST} -k volume_on_proc_gets_no_writes",
        holes=("CVE-2019-16884", "CVE-2025-52881", "CVE-2025-62596"),
    ),
    Protection(
        "masked-path-looked-up-once",
        "csrc/init/mounts.c",
        "    check(fstat(target, &status), STEP_stat, op->path);\n    if (state.registers",
        '    check(fstat(target, &status), STEP_stat, op->path);\n    char path[512] = "proc/";\n'
        "    target = open_in(get(REG_ROOT), op->below ? strncat(path, op->path, 500) : op->path, O_PATH, 0);\n"
        "    if (target < 0)\n        return;\n    if (state.registers",
        f"{_ESCAPES} -k 'masked_path or masks_stay'",
        holes=("GHSA-3q8j-pf29-vwv8",),
    ),
    Protection(
        "non-dumpable-while-it-joins",
        "csrc/init/main.c",
        "    prctl(PR_SET_DUMPABLE, 0);\n",
        "    prctl(PR_SET_DUMPABLE, 1);\n",
        f"{_INIT} -k can_not_look_into_an_init_that_joins",
        holes=("CVE-2016-9962",),
        also=(
            (
                "csrc/init/namespaces.c",
                "    check(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), STEP_PR_SET_DUMPABLE, NULL);\n",
                "    check(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), STEP_PR_SET_DUMPABLE, NULL);\n",
            ),
        ),
    ),
    Protection(
        "length-of-a-plan",
        "csrc/ops/ops.c",
        "PyUnicode_GET_LENGTH(value) == 0 ? 0 : encoder->size;",
        "PyUnicode_GET_LENGTH(value) == 0 ? 0 : (uint16_t)encoder->size;",
        f"{_ESCAPES} -k very_many_mounts",
        holes=("CVE-2021-43784",),
    ),
]

# The tests pass without these: another protection does the same for what they try, or a test is missing. To be mended.
UNNOTICED = {
    "descriptors-before-execve",
}
