/* The device program of a cgroup v2: loading and attaching it, bpf(2). */
#ifndef PYOCI_BPF_H
#define PYOCI_BPF_H

#include <stddef.h>

/* cffi:begin */

/* Loads a BPF_PROG_TYPE_CGROUP_DEVICE program of `size` bytes. Gives a close-on-exec descriptor or -errno; then the
 * verifier's words, if it has any, are in `log`. */
int pyoci_bpf_load(const char *code, size_t size, char *log, size_t log_size);

/* Makes the program the only one of ours on the cgroup: an older one is replaced in one step, so there is no moment
 * without rules. Programs of others (systemd's) stay. With `fresh` there is none yet. Gives 0 or -errno. */
int pyoci_bpf_attach(int cgroup, int program, int fresh);

/* cffi:end */

#endif
