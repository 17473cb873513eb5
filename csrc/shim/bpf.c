/* The device program of a cgroup v2: loading and attaching it, bpf(2). */
#include "bpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* At most 15 characters; tells our programs from those of others on the same cgroup. */
static const char program_name[] = "pyoci_devices";
static const char license[] = "Apache-2.0";

enum { MAX_PROGRAMS = 64 }; /* the kernel's own limit for one cgroup */

/* Always the whole union, zeroed: kernels 6.17 to 7.1 write BPF_PROG_QUERY's answers beyond a shorter one. */
static int bpf(enum bpf_cmd command, union bpf_attr *attr) {
    long result = syscall(SYS_bpf, command, attr, sizeof(*attr));
    return result < 0 ? -errno : (int)result;
}

static int load(const char *code, size_t size, char *log, size_t log_size) {
    union bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    attr.insns = (uintptr_t)code;
    attr.insn_cnt = (uint32_t)(size / sizeof(struct bpf_insn));
    attr.license = (uintptr_t)license;
    memcpy(attr.prog_name, program_name, sizeof(program_name));
    if (log) {
        attr.log_buf = (uintptr_t)log;
        attr.log_size = (uint32_t)log_size;
        attr.log_level = 1;
    }
    return bpf(BPF_PROG_LOAD, &attr);
}

int pyoci_bpf_load(const char *code, size_t size, char *log, size_t log_size) {
    log[0] = '\0';
    int program = load(code, size, NULL, 0);
    if (program != -EINVAL && program != -EACCES)
        return program;
    int again = load(code, size, log, log_size); /* once more, for the verifier's reasons */
    return again >= 0 || again == -ENOSPC ? (again >= 0 ? again : program) : again;
}

static int query(int cgroup, uint32_t ids[MAX_PROGRAMS]) {
    union bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.query.target_fd = (uint32_t)cgroup;
    attr.query.attach_type = BPF_CGROUP_DEVICE;
    attr.query.prog_ids = (uintptr_t)ids;
    attr.query.prog_cnt = MAX_PROGRAMS;
    int result = bpf(BPF_PROG_QUERY, &attr);
    return result < 0 ? result : (int)attr.query.prog_cnt;
}

static int change(enum bpf_cmd command, int cgroup, int program, int replaced) {
    union bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.target_fd = (uint32_t)cgroup;
    attr.attach_bpf_fd = (uint32_t)program;
    attr.attach_type = BPF_CGROUP_DEVICE;
    if (command == BPF_PROG_ATTACH)
        attr.attach_flags = BPF_F_ALLOW_MULTI;
    if (replaced >= 0) {
        attr.attach_flags |= BPF_F_REPLACE;
        attr.replace_bpf_fd = (uint32_t)replaced;
    }
    return bpf(command, &attr);
}

/* A descriptor of the program with this id when it is one of ours; else -1. */
static int open_ours(uint32_t id) {
    union bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.prog_id = id;
    int program = bpf(BPF_PROG_GET_FD_BY_ID, &attr);
    if (program < 0)
        return -1;
    struct bpf_prog_info info;
    memset(&info, 0, sizeof(info));
    memset(&attr, 0, sizeof(attr));
    attr.info.bpf_fd = (uint32_t)program;
    attr.info.info_len = sizeof(info);
    attr.info.info = (uintptr_t)&info;
    if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) < 0 || strcmp(info.name, program_name) != 0) {
        close(program);
        return -1;
    }
    return program;
}

int pyoci_bpf_attach(int cgroup, int program, int fresh) {
    uint32_t ids[MAX_PROGRAMS];
    int count = fresh ? 0 : query(cgroup, ids);
    if (count < 0)
        return count;
    int result = 0;
    int attached = 0;
    for (int i = 0; i < count && result >= 0; i++) {
        int old = open_ours(ids[i]);
        if (old < 0)
            continue;
        result = attached ? change(BPF_PROG_DETACH, cgroup, old, -1) : change(BPF_PROG_ATTACH, cgroup, program, old);
        attached = 1;
        close(old);
    }
    if (!attached)
        result = change(BPF_PROG_ATTACH, cgroup, program, -1);
    return result;
}
