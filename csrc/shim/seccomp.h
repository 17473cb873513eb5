/* Building seccomp filters with libseccomp, which is loaded only when a filter has to be built. */
#ifndef PYOCI_SHIM_SECCOMP_H
#define PYOCI_SHIM_SECCOMP_H

#include <stddef.h>
#include <stdint.h>

/* cffi:begin */

/* One comparison with a system call's argument; op as in libseccomp's enum scmp_compare. */
struct pyoci_seccomp_test {
    unsigned int arg;
    int op;
    uint64_t a;
    uint64_t b;
};

/* Loads the library. 0, -ENOENT when there is none, -ELIBBAD when it is too old. Needed before all below. */
int pyoci_seccomp_open(void);

/* Path of the loaded library; version as major << 16 | minor << 8 | micro. */
const char *pyoci_seccomp_path(void);
unsigned int pyoci_seccomp_version(void);

/* The library's token of an architecture such as "x86_64", 0 if it has none; that of this machine. */
uint32_t pyoci_seccomp_arch(const char *name);
uint32_t pyoci_seccomp_native(void);

/* Number of a system call on an architecture: -1 if the library has not heard of it, below that if it has,
   but the architecture lacks it. */
int pyoci_seccomp_number(uint32_t arch, const char *name);

/* The name of a system call's number on an architecture, cut to the size: its length, or -ENOENT if the library has not
   heard of it. */
int pyoci_seccomp_name(uint32_t arch, int number, char *name, size_t size);

/* A filter with its default action (SECCOMP_RET_*), for this machine's architecture; NULL: invalid action. */
void *pyoci_seccomp_new(uint32_t action);
void pyoci_seccomp_free(void *filter);

/* These give 0 or -errno. An architecture may be there already. Export writes struct sock_filter[]. */
int pyoci_seccomp_add_arch(void *filter, uint32_t arch);
int pyoci_seccomp_add_rule(void *filter, uint32_t action, int number, unsigned int count,
                           const struct pyoci_seccomp_test *tests);
int pyoci_seccomp_optimize(void *filter, uint32_t level);
int pyoci_seccomp_export(void *filter, int fd);

/* Whether seccomp(2) of this kernel takes these SECCOMP_FILTER_FLAG_*; needs no library. */
int pyoci_seccomp_flags_known(unsigned int flags);

/* cffi:end */

#endif
