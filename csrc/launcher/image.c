/* The static launcher is an image of itself: of a process that has initialised Python and imported the hot modules.
 *
 * Starting Python's core takes 1.2 ms, importing the hot modules one more. Both come to the same each time, so the build does
 * it once: it runs this program, which then writes all its data - variables and heap - into a file, and csrc/build/image.py puts
 * that in the place of the data it was linked with. This works because the program is static, is loaded where it was linked
 * to, and holds its heap itself (heap.c): nothing in the data points to anything that is elsewhere in another process. What
 * differs from process to process is set anew: the C library does so for its own, resume() for Python. Thread-local variables
 * keep their values, which Python from 3.12 on relies on: musl has those of the first thread among its own data, and sets only
 * those anew that do not begin as zero.
 */
#include "heap.h"
#include "imports.h"
#include "python.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <marshal.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL

extern char **environ;

static bool made; /* this process began as an image */

/* The C library remembers where the kernel's own library is in this process; the image must not. */
int __clock_gettime(clockid_t, struct timespec *);

int __clock_gettime(clockid_t clock, struct timespec *time) {
    return (int)syscall(SYS_clock_gettime, clock, time);
}

int clock_gettime(clockid_t, struct timespec *) __attribute__((alias("__clock_gettime")));

static int import_all(void) {
    for (size_t at = 0; pyoci_frozen_name(at); at++)
        if (!PyImport_ImportModule(pyoci_frozen_name(at)))
            return -1;
    return 0;
}

/* Runs the marshalled code in a file (csrc/build/warm.py), and sets `result` to its RESULT. 0, or -1 with an exception set. */
static int run_file(const char *name, long *result) {
    FILE *file = fopen(name, "re");
    PyObject *code = file ? PyMarshal_ReadLastObjectFromFile(file) : PyErr_SetFromErrnoWithFilename(PyExc_OSError, name);
    PyObject *names = PyDict_New();
    if (file)
        fclose(file);
    if (!code || !names || PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins()) ||
        !PyEval_EvalCode(code, names, names))
        return -1;
    PyObject *value = PyDict_GetItemString(names, "RESULT");
    *result = value ? PyLong_AsLong(value) : 0;
    PyDict_Clear(names);
    Py_DecRef(names);
    Py_DecRef(code);
    PyGC_Enable();
    PyGC_Collect(); /* what it left must not take room in the image */
    PyGC_Disable();
    return 0;
}

/* Calls `visit` for each writable segment of the program, until one call says no. */
static bool each_segment(bool (*visit)(const char *start, size_t size, void *context), void *context) {
    const Elf64_Phdr *header = (const Elf64_Phdr *)getauxval(AT_PHDR); // NOLINT: an address
    for (unsigned long left = getauxval(AT_PHNUM); left > 0; left--, header++)
        if (header->p_type == PT_LOAD && header->p_flags & PF_W)
            if (!visit((const char *)header->p_vaddr, header->p_memsz, context)) // NOLINT: an address
                return false;
    return true;
}

/* Makes read-only what the linker says is not written to after the start; a static musl program leaves that to itself. */
static int protect(void) {
    const Elf64_Phdr *header = (const Elf64_Phdr *)getauxval(AT_PHDR); // NOLINT: an address
    for (unsigned long left = getauxval(AT_PHNUM); left > 0; left--, header++)
        if (header->p_type == PT_GNU_RELRO) {
            unsigned long start = header->p_vaddr & ~(PAGE - 1), end = (header->p_vaddr + header->p_memsz) & ~(PAGE - 1);
            if (mprotect((void *)start, end - start, PROT_READ)) // NOLINT: an address
                return -1;
        }
    return 0;
}

struct range {
    unsigned long start, end;
};

/* Whether a segment, with the rest of its last page, does not hold a range of pages. */
static bool is_outside(const char *start, size_t size, void *context) {
    const struct range *range = context;
    unsigned long first = (unsigned long)start & ~(PAGE - 1), last = ((unsigned long)start + size + PAGE - 1) & ~(PAGE - 1);
    return range->start < first || range->end > last;
}

/* Whether all that can be written is in the segments, but for the stack: elsewhere nothing would be kept. */
static bool is_complete(void) {
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512], mode[5], name[64], buffer[1024];
    struct range range;
    /* The file names the directory of the build: a buffer in the heap would be in the image. */
    bool complete = maps && setvbuf(maps, buffer, _IOFBF, sizeof buffer) == 0;
    if (!complete)
        fprintf(stderr, "pyoci: /proc/self/maps: %s\n", strerror(errno));
    while (complete && fgets(line, sizeof line, maps)) {
        name[0] = '\0';
        if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %63s", &range.start, &range.end, mode, name) < 3 || mode[1] != 'w')
            continue;
        complete = strcmp(name, "[stack]") == 0 || !each_segment(is_outside, &range);
        if (!complete)
            fprintf(stderr, "pyoci: memory outside of the image: %s", line);
    }
    if (maps)
        fclose(maps);
    return complete;
}

static bool write_segment(const char *start, size_t size, void *context) {
    const int *file = context;
    while (size > 0) {
        ssize_t count = write(*file, start, size);
        if (count <= 0)
            return false;
        start += count;
        size -= (size_t)count;
    }
    return true;
}

extern void (*__init_array_start[])(void), (*__init_array_end[])(void);

static void nothing(void) {
}

/* What parts of the program do before main has been done once, and is in the image: Python's mimalloc, for one, would be told of
 * its options again, and print the end of a line. */
static void forget_constructors(void) {
    for (void (**at)(void) = __init_array_start; at < __init_array_end; at++)
        *at = nothing;
}

/* Gets ready for a command, runs the code in the file `warm` and writes the segments, one after the other, into the file `name`. */
static int make(const char *name, const char *warm) {
    long specialised = 0;
    pyoci_heap_for_python();
    pyoci_start_python();
    if (import_all())
        pyoci_fail("the import of every hot module");
    if (run_file(warm, &specialised))
        pyoci_fail("the warm-up");
    forget_constructors();
    PyOS_BeforeFork(); /* to Python, the process that resumes is a child of this one */
    if (!is_complete())
        return -1;
    int file = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    made = true;
    if (file < 0 || !each_segment(write_segment, &file) || close(file)) {
        fprintf(stderr, "pyoci: %s: %s\n", name, strerror(errno));
        return -1;
    }
    printf("%ld functions specialised\n", specialised);
    return 0;
}

/* posix.environ is made when the module is imported. */
static int renew_environment(void) {
    PyObject *module = PyImport_ImportModule("posix");
    PyObject *dict = module ? PyObject_GetAttrString(module, "environ") : NULL;
    if (!dict)
        return -1;
    PyDict_Clear(dict);
    for (char **entry = environ; entry && *entry; entry++) {
        const char *equals = strchr(*entry, '=');
        if (!equals)
            continue;
        PyObject *key = PyBytes_FromStringAndSize(*entry, equals - *entry);
        PyObject *value = PyBytes_FromString(equals + 1);
        if (!key || !value || !PyDict_SetDefault(dict, key, value))
            return -1;
    }
    return 0;
}

static int resume(void) {
    /* The C library gives a thread a place for its values when the first key is made. */
    pthread_key_t key;
    if (pthread_key_create(&key, NULL) || protect())
        return -1;
    PyOS_AfterFork_Child();
    return renew_environment();
}

int main(int argc, char **argv) {
    if (!made)
        return argc == 3 && make(argv[1], argv[2]) == 0 ? 0 : 1;
    pyoci_begin();
    if (pyoci_locate(&pyoci_places))
        return 1;
    if (resume())
        pyoci_fail("this process's own facts");
    pyoci_run(argc, argv);
}
