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
    apart  why it is taken out only in a machine that is thrown away, "" where any will do; text of C can't be built there
    """

    name: str
    file: str
    old: str
    new: str
    tests: str
    holes: tuple[str, ...] = ()
    also: tuple[tuple[str, str, str], ...] = ()
    apart: str = ""


_ESCAPES, _HOST, _INIT, _DEVICES = (
    f"tests/security/test_{name}.py" for name in ("escapes", "host_files", "init_process", "host_devices")
)
_HARM = "without it the tests harm the machine"
_SYSTEMD = "its tests need systemd"
_FORGED = "tests/security/test_hostile_records.py"
_RECORD, _STORE = "pyoci/lifecycle/record.py", "pyoci/lifecycle/store.py"
_STATE = "tests/security/test_unsafe_state.py"
_PERMISSIONS = "pyoci/lifecycle/permissions.py"
_OWN_NULL = """if (mknodat(masks, "null", S_IFCHR | 0666, makedev(1, 3)) == 0)
        return sys_open_tree(masks, "null", TREE_CLONE);"""
_LANDLOCK = "tests/integration/test_landlock.py"
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
        "reg < REG_PASSED; reg++)\n        put(reg, -1);",
        "reg < 1; reg++)\n        put(reg, -1);",
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
        "devices-below-the-root",
        "csrc/init/resolve.c",
        _RESOLVE,
        _RESOLVE.replace("RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS", "0u"),
        f"{_HOST} -k in_no_directory_of_the_host",
        holes=("CVE-2026-41579", "CVE-2026-47766"),
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
        "null-device-through-links",
        "csrc/init/resolve.c",
        """    int fd = open_in(root, path, O_PATH, RESOLVE_NO_SYMLINKS);
    bool right = fd >= 0 && is_device(fd, device);
""",
        """    int fd = openat(root, path, O_PATH | O_CLOEXEC);
    bool right = true;
""",
        f"{_HOST} -k 'in_the_place_of_a_device and passwd'",
        holes=("CVE-2026-88265",),
        # Four in a row: mknod(2) finds a link where the device should be, a device is opened through no link, what was opened has
        # to be that device, and it is looked for after pivot_root(2), when nothing of the host's is there.
        also=(
            (
                "csrc/init/resolve.c",
                """    fd = right ? open_in(root, path, flags | O_NOCTTY, RESOLVE_NO_SYMLINKS) : -1;
    if (fd >= 0 && is_device(fd, device))
""",
                """    fd = openat(root, path, (int)flags | O_CLOEXEC);
    if (fd >= 0)
""",
            ),
            (
                "csrc/init/devices.c",
                "        check_existing(parent, name, op);",
                "        (void)check_existing;",
            ),
            (
                "pyoci/plan/compiler.py",
                """    rootfs.add_pivot(plan, spec, facts)
    plan.add(ops.stdio_null(), "", "standard files")
""",
                """    plan.add(ops.stdio_null(), "", "standard files")
    rootfs.add_pivot(plan, spec, facts)
""",
            ),
        ),
    ),
    Protection(
        "read-only-by-descriptor",
        "csrc/init/mounts.c",
        "    check(sys_mount_setattr(get(op->mount), flags, op->set, op->clear, op->propagation), STEP_mount_setattr, NULL);",
        """    char place[64];

    snprintf(place, sizeof(place), "proc/self/fd/%d", get(op->mount));
    if (op->set == ATTRIBUTE_READONLY && op->mount >= REG_KEPT && fchdir(get(REG_ROOT)) == 0)
        check(mount(NULL, place, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), STEP_mount_setattr, NULL);
    else
        check(sys_mount_setattr(get(op->mount), flags, op->set, op->clear, op->propagation), STEP_mount_setattr, NULL);""",
        f"{_HOST} -k read_only_mounts_behind",
        holes=("CVE-2026-115521",),
    ),
    Protection(
        "descriptors-before-execve",
        "csrc/init/program.c",
        "    close_registers();\n    set_mask();\n    errno = ENODATA;",
        "    set_mask();\n    errno = ENODATA;",
        f"{_ESCAPES} -k what_the_init_waited_with",
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
        "parents-of-root",
        _PERMISSIONS,
        "            if last and (problem := _unsafe(*last, user, any_owner=given, above=True)):",
        "            if last and (problem := None):",
        f"{_STATE} -k 'no_verb_acts and parent'",
    ),
    Protection(
        "regular-files-of-the-entry",
        _STORE,
        """    flags = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC | posix.O_NOFOLLOW
    fd = posix.open(name, flags, dir_fd=directory)
    try:
        if not stat.S_ISREG(posix.fstat(fd).st_mode):
""",
        """    flags = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC
    fd = posix.open(name, flags, dir_fd=directory)
    try:
        if not posix.fstat(fd).st_mode:
""",
        "tests/unit/test_lifecycle_record.py -k regular",
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
        "cgroup-without-identity",
        "pyoci/cgroups/base.py",
        "        return not self._ids or found == self._ids.get(path)\n",
        "        return found == self._ids.get(path, found)\n",
        "tests/root/test_cgroup_identity.py -k without_an_identity",
    ),
    Protection(
        "unit-by-entry",
        "pyoci/cgroups/systemd.py",
        "        return bool(self._entry) and documentation == [unit.of_entry(self._entry)]\n",
        "        return bool(documentation) or not documentation\n",
        "tests/unit/test_cgroups_systemd_units.py",
    ),
    Protection(
        "record-of-another",
        _RECORD,
        'type(values) is dict and values.get("id", id) == id',
        "type(values) is dict",
        "tests/root/test_damaged_records.py",
    ),
    Protection(
        "freezer-by-identity",
        "pyoci/cgroups/freezer.py",
        "        return tree.identity(path) == ids.get(path)\n",
        "        return tree.identity(path) is not None\n",
        "tests/root/test_cgroup_identity.py",
    ),
    Protection(
        "process-by-start-time",
        _STORE,
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
        '    return mount.root == (below.root + place if below.root != "/" else place or "/")\n',
        '    return mount.root != "" and place != "nowhere"\n',
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
    Protection(
        "hooks-confined-as-the-program",
        "csrc/init/hook.c",
        "    if (op->as_program) {\n",
        "    if (op->as_program && !*op->path) {\n",
        "tests/integration/test_hook_rules.py -k confined_as_the_program",
    ),
    Protection(
        "hooks-without-descriptors",
        "csrc/init/hook.c",
        "    close_registers();\n    check(sys_close_range(3, ~0u), STEP_close_range, NULL);\n",
        "",
        f"{_INIT} -k hook_inside",
    ),
    Protection(
        "network-devices-come-back",
        "pyoci/host/net_devices.py",
        "        while self._moved:\n",
        "        while False:\n",
        "tests/integration/test_net_devices.py -k brings_devices_back",
    ),
    Protection(
        "network-of-the-caller",
        "pyoci/spec/linux_rules.py",
        '    if "network" not in namespaces or _is_own_network(namespaces["network"]):\n',
        "    if namespaces is None:\n",
        "tests/integration/test_net_devices.py -k callers_own_network",
    ),
    Protection(
        "read-only-tmpfs",
        "pyoci/plan/rootfs.py",
        "        op = ops.mount_setattr(mount=register, set=mount_options.RDONLY)\n",
        "        op = ops.mount_setattr(mount=register)\n",
        "tests/integration/test_mount_options.py -k read_only_tmpfs",
    ),
    Protection(
        "groups-kept-on-request",
        "pyoci/plan/process.py",
        "    keep_groups = asks_for(spec, KEEP_GROUPS)\n",
        "    keep_groups = True\n",
        "tests/integration/test_process.py -k groups_of_the_caller",
    ),
    Protection(
        "id-maps-of-the-option",
        "pyoci/userns/idmapped_mounts.py",
        "    uids, gids = inline or (",
        "    uids, gids = (",
        "tests/integration/test_mount_places.py -k mappings_in_the_option",
    ),
    Protection(
        "sources-below-the-root",
        "csrc/init/mounts.c",
        "    int tree, place = open_in(root, path, O_PATH | nofollow, 0);\n",
        "    int tree, place = openat(root, path + 1, (int)nofollow | O_PATH | O_CLOEXEC);\n",
        "tests/integration/test_mount_places.py -k 'leads_no_source_to_the_host and False'",
    ),
    Protection(
        "sources-opened-by-the-runtime",
        "csrc/shim/inside.c",
        ".resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};\n"
        "    int tree, place = (int)syscall(SYS_openat2, root, self->path, &how, sizeof(how));",
        "};\n    int tree, place = (int)syscall(SYS_openat2, root, self->path + 1, &how, sizeof(how));",
        "tests/integration/test_mount_places.py -k 'leads_no_source_to_the_host and True'",
    ),
    Protection(
        "no-pivot-kernel-trees",
        "csrc/init/rootfs.c",
        "    hide_kernel_trees(op->path);\n",
        "    (void)hide_kernel_trees;\n    (void)op;\n",
        "tests/integration/test_mount_places.py -k no_procfs_of_the_host",
    ),
    Protection(
        "exec-in-the-root",
        "pyoci/plan/compiler.py",
        """        plan.add(ops.chroot(), "", "container's root")\n""",
        "",
        "tests/integration/test_mount_places.py -k exec_without_a_mount_namespace",
    ),
    Protection(
        "flags-of-the-source",
        "csrc/init/mounts.c",
        "    uint64_t source = lockable_attributes(get(op->mount)), lost",
        "    uint64_t source = 0 * lockable_attributes(get(op->mount)), lost",
        "tests/integration/test_bind_flags.py -k user_namespace",
    ),
    Protection(
        "files-given-for-reading",
        "csrc/init/devices.c",
        "           (S_ISREG(status->st_mode) && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY);",
        "           S_ISREG(status->st_mode);",
        f"{_ESCAPES} -k given_for_reading",
    ),
    Protection(
        "landlock-in-force",
        "pyoci/plan/process.py",
        "landlock.add_restriction(plan, rules)",
        "landlock.add_ruleset(plan, rules)",
        f"{_LANDLOCK}::test_what_no_rule_allows_is_denied",
    ),
    Protection(
        "landlock-of-exec",
        "pyoci/plan/compiler.py",
        "privileges, facts, rules, wait=False, first=False)",
        "privileges, facts, None, wait=False, first=False)",
        f"{_LANDLOCK}::test_exec_is_under_the_same_rules",
    ),
    Protection(
        "landlock-whole",
        "pyoci/spec/landlock.py",
        "if abi >= rules.abi:",
        "if abi >= 1:",
        f"{_LANDLOCK}::test_an_older_abi_is_refused_or_asked_for",
    ),
    Protection(
        "listener-is-one",
        "pyoci/init/protocol.py",
        'if posix.readlink(f"/proc/self/fd/{fd}") != _LISTENER:',
        "if False:",
        "tests/unit/test_init_protocol.py -k something_else_is_no_listener",
    ),
    Protection(
        "listener-of-the-agent-alone",
        "csrc/init/program.c",
        "        close(fd);\n        if (ready)",
        "        if (ready)",
        "tests/integration/test_seccomp_notify.py -k an_agent_that_is_killed",
    ),
    Protection(
        "explained-is-denied",
        "csrc/shim/notification.c",
        "    return answer(listener, id, error, 0);",
        "    return answer(listener, id, 0, error ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0);",
        "tests/integration/test_explain_seccomp.py -k the_list",
    ),
    Protection(
        "seccomp-filter",
        "csrc/init/process.c",
        "    check(syscall(SYS_seccomp, SECCOMP_FILTER, op->flags, &program), STEP_seccomp, NULL);",
        "    (void)program;",
        "tests/integration/test_seccomp_filter.py -k filter_is_on",
    ),
    Protection(
        "seccomp-programs-of-others",
        "pyoci/seccomp/filters.py",
        "    return facts.st_uid == posix.geteuid() and not facts.st_mode & 0o022\n",
        "    return facts.st_uid >= 0\n",
        "tests/unit/test_seccomp.py -k another_owner",
    ),
    Protection(
        "resctrl-by-identity",
        "pyoci/cgroups/resctrl.py",
        """            if record["ids"].get(path, found) != found:\n""",
        """            if not record:\n""",
        "tests/root/test_resctrl.py -k took_the_name",
    ),
    Protection(
        "lines-for-the-service-manager",
        "pyoci/host/notify.py",
        "                if line.startswith(_PASSED)\n",
        "                if line\n",
        "tests/integration/test_notify.py -k start_waits",
    ),
    Protection(
        "unit-by-invocation",
        "pyoci/cgroups/systemd.py",
        "            return bool(self._invocation) and self._current_invocation(bus) == self._invocation\n",
        "            return bool(self._invocation)\n",
        "tests/root/test_systemd_units.py -k took_the_name",
        apart=_SYSTEMD,
    ),
    Protection(
        "hosts-sysfs-read-only",
        "csrc/init/mounts.c",
        "    check(sys_mount_setattr(tree, TREE_RECURSIVE, ATTRIBUTE_READONLY | (attributes & flags), 0, MS_PRIVATE),",
        "    check(sys_mount_setattr(tree, TREE_RECURSIVE, attributes & flags, 0, MS_PRIVATE),",
        "tests/integration/test_mount_places.py -k sysfs_in_the_hosts_network",
    ),
    Protection(
        "hosts-sysfs-without-cgroups",
        "pyoci/plan/mounts.py",
        "        _cover_cgroups(plan, spec, destination, pointer)\n",
        "        pass\n",
        "tests/integration/test_mount_places.py -k sysfs_in_the_hosts_network",
    ),
    Protection(
        "cgroups-read-only",
        "pyoci/plan/cgroupfs.py",
        """source="cgroup", options=found.data, attributes=found.set)""",
        """source="cgroup", options=found.data, attributes=found.set & ~mount_options.RDONLY)""",
        f"{_ESCAPES} -k cgroups_can_not_be_written",
        holes=("CVE-2023-25809",),
        also=(
            (
                "pyoci/plan/cgroupfs.py",
                "        plan.add(ops.mount_setattr(mount=lib.REG_MOUNT, set=found.set, clear=found.clear), pointer, about)\n",
                "",
            ),
        ),
        apart=_HARM,
    ),
    Protection(
        "cgroup-paths-of-the-record",
        _RECORD,
        """    if type(path) is not str or not path.startswith(paths.MOUNT + "/") or "\\0" in path:
        return False
""",
        """    if path:
        return type(path) is str
""",
        f"{_FORGED} -k delete-force",
        also=(
            (
                "pyoci/cgroups/tree.py",
                "    if not stat.S_ISDIR(facts.st_mode) or lib.pyoci_is_cgroup(os_path(path)) != 1:",
                "    if not stat.S_ISDIR(facts.st_mode):",
            ),
            (
                "pyoci/cgroups/tree.py",
                "    fd = lib.pyoci_open_cgroup(directory, os_path(path))",
                "    fd = posix.open(path, _OPEN, dir_fd=None if directory < 0 else directory)",
            ),
        ),
        apart=_HARM,
    ),
    Protection(
        "cgroup-ids-of-the-record",
        "pyoci/cgroups/base.py",
        """        if not self._proven:
            return False
""",
        "",
        f"{_FORGED} -k kill-all",
        also=(
            (
                "pyoci/cgroups/base.py",
                "            if not self.is_own(path):\n",
                "            if not path:\n",
            ),
        ),
        apart=_HARM,
    ),
    Protection(
        "fifos-of-the-entry",
        _STORE,
        "    flags = flag | posix.O_NONBLOCK | posix.O_CLOEXEC | posix.O_NOFOLLOW\n",
        "    flags = flag | posix.O_NONBLOCK | posix.O_CLOEXEC\n",
        f"{_FORGED} -k '[start]'",
        also=((_STORE, "    if stat.S_ISFIFO(posix.fstat(fd).st_mode):", "    if posix.fstat(fd).st_mode:"),),
        apart=_HARM,
    ),
    Protection(
        "trace-of-the-record",
        "pyoci/trace/recorder.py",
        "            ours = False\n        if not ours:",
        "            ours = True\n        if not ours:",
        f"{_FORGED} -k '[start]'",
        apart=_HARM,
    ),
]
