/* Building seccomp filters with libseccomp.
 *
 * The library is not linked but loaded on first use: most calls of the runtime find their filter in the cache
 * or have none. Its own declarations are repeated here (they are a stable ABI), so no header of it is needed.
 */
#include "seccomp.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LIBRARY            "libseccomp.so.2"
#define ATTRIBUTE_OPTIMIZE 8 /* SCMP_FLTATR_CTL_OPTIMIZE, libseccomp 2.5 */

#if defined(__x86_64__)
#define MULTIARCH "x86_64-linux-gnu"
#else
#define MULTIARCH "aarch64-linux-gnu"
#endif

struct version {
    unsigned int major, minor, micro;
};

static struct {
    const char *path;
    const struct version *(*version)(void);
    uint32_t (*arch_resolve_name)(const char *);
    uint32_t (*arch_native)(void);
    int (*syscall_resolve_name_arch)(uint32_t, const char *);
    char *(*syscall_resolve_num_arch)(uint32_t, int);
    void *(*init)(uint32_t);
    void (*release)(void *);
    int (*arch_add)(void *, uint32_t);
    int (*rule_add_array)(void *, uint32_t, int, unsigned int, const struct pyoci_seccomp_test *);
    int (*attr_set)(void *, int, uint32_t);
    int (*export_bpf)(const void *, int);
} library;

/* every function of the library above, by its name after "seccomp_" */
#define FUNCTIONS(X)                                                                                                        \
    X(version)                                                                                                              \
    X(arch_resolve_name)                                                                                                    \
    X(arch_native)                                                                                                          \
    X(syscall_resolve_name_arch)                                                                                            \
    X(syscall_resolve_num_arch)                                                                                             \
    X(init)                                                                                                                 \
    X(release)                                                                                                              \
    X(arch_add)                                                                                                             \
    X(rule_add_array)                                                                                                       \
    X(attr_set)                                                                                                             \
    X(export_bpf)

#ifdef PYOCI_LIBSECCOMP_LINKED

#define X(name) extern __typeof__(*library.name) seccomp_##name;
FUNCTIONS(X)
#undef X

/* A part of this program, which is the file to name. */
int pyoci_seccomp_open(void) {
    static char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0)
        return -ENOENT;
    self[length] = '\0';
#define X(name) library.name = seccomp_##name;
    FUNCTIONS(X)
#undef X
    library.path = self;
    return 0;
}

#else

/* Fixed places first: engines set LD_LIBRARY_PATH to lists with an empty element, which means the current
 * directory, and that is the bundle. */
static void *load(void) {
    static const char *const places[] = {
        "/usr/lib/" MULTIARCH "/" LIBRARY,
        "/lib/" MULTIARCH "/" LIBRARY,
        "/usr/lib64/" LIBRARY,
        "/lib64/" LIBRARY,
        "/usr/lib/" LIBRARY,
        "/lib/" LIBRARY,
        "/usr/local/lib/" LIBRARY,
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        void *handle = dlopen(places[i], RTLD_NOW | RTLD_LOCAL);
        if (handle)
            return handle;
    }
    return getenv("LD_LIBRARY_PATH") ? NULL : dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
}

/* POSIX wants a data pointer to serve as a function pointer here; ISO C has no cast for it. */
static bool symbol(void *handle, const char *name, void *target) {
    *(void **)target = dlsym(handle, name);
    return *(void **)target != NULL;
}

int pyoci_seccomp_open(void) {
    if (library.path)
        return 0;
    void *handle = load();
    if (!handle)
        return -ENOENT;
    Dl_info info;
#define X(name) symbol(handle, "seccomp_" #name, &library.name) &&
    bool complete = FUNCTIONS(X) dladdr(*(void **)&library.init, &info);
#undef X
    if (!complete) {
        dlclose(handle);
        return -ELIBBAD;
    }
    library.path = info.dli_fname;
    return 0;
}

#endif

const char *pyoci_seccomp_path(void) {
    return library.path;
}

unsigned int pyoci_seccomp_version(void) {
    const struct version *version = library.version();
    return version->major << 16 | version->minor << 8 | version->micro;
}

uint32_t pyoci_seccomp_arch(const char *name) {
    return library.arch_resolve_name(name);
}

uint32_t pyoci_seccomp_native(void) {
    return library.arch_native();
}

int pyoci_seccomp_number(uint32_t arch, const char *name) {
    return library.syscall_resolve_name_arch(arch, name);
}

int pyoci_seccomp_name(uint32_t arch, int number, char *name, size_t size) {
    char *found = library.syscall_resolve_num_arch(arch, number);
    if (!found)
        return -ENOENT;
    int length = snprintf(name, size, "%s", found);
    free(found);
    return length;
}

void *pyoci_seccomp_new(uint32_t action) {
    return library.init(action);
}

void pyoci_seccomp_free(void *filter) {
    library.release(filter);
}

int pyoci_seccomp_add_arch(void *filter, uint32_t arch) {
    int result = library.arch_add(filter, arch);
    return result == -EEXIST ? 0 : result;
}

int pyoci_seccomp_add_rule(void *filter, uint32_t action, int number, unsigned int count,
                           const struct pyoci_seccomp_test *tests) {
    return library.rule_add_array(filter, action, number, count, tests);
}

int pyoci_seccomp_optimize(void *filter, uint32_t level) {
    return library.attr_set(filter, ATTRIBUTE_OPTIMIZE, level);
}

int pyoci_seccomp_export(void *filter, int fd) {
    return library.export_bpf(filter, fd);
}

int pyoci_seccomp_flags_known(unsigned int flags) {
    /* The kernel looks at the flags first and at the (here missing) program next. */
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, NULL) == -1 && errno == EFAULT;
}
