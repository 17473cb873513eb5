/* Finds the interpreter and the package next to the launcher, so that a moved environment or a wheel built elsewhere
   works, else where they were at build time. Engines call with no PATH and no HOME: nothing is taken from there.

   The build defines PYOCI_PYTHON (absolute path of the interpreter), PYOCI_PYTHON_NAME (its versioned name),
   PYOCI_PACKAGE (absolute path of the package) and PYOCI_PACKAGE_NEAR (the package from the launcher's directory,
   or "" for a development build, which always runs the tree it was built from). */
#define _GNU_SOURCE
#include "locate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* directory/name, where each "../" that the name begins with takes the directory's last part away */
static int join(char *out, const char *directory, const char *name) {
    size_t keep = strlen(directory);
    for (; strncmp(name, "../", 3) == 0; name += 3)
        while (keep > 0 && directory[--keep] != '/')
            ;
    int length = snprintf(out, PATH_MAX, "%.*s/%s", (int)keep, directory, name);
    return length > 0 && length < PATH_MAX ? 0 : -1;
}

static bool usable(const char *path, int mode) {
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0;
}

/* The launcher's own directory, symbolic links resolved. */
static int own_directory(char *out) {
    ssize_t length = readlink("/proc/self/exe", out, PATH_MAX - 1);
    if (length <= 0)
        return -1;
    out[length] = '\0';
    char *slash = strrchr(out, '/');
    if (!slash)
        return -1;
    *slash = '\0';
    return 0;
}

static bool is_package(const char *directory) {
    char main[PATH_MAX];
    return join(main, directory, "__main__.py") == 0 && usable(main, R_OK);
}

int pyoci_locate(struct pyoci_places *places) {
    char here[PATH_MAX];
    bool known = own_directory(here) == 0;

    if (!known || !PYOCI_PACKAGE_NEAR[0] || join(places->package, here, PYOCI_PACKAGE_NEAR) ||
        !is_package(places->package)) {
        snprintf(places->package, sizeof places->package, "%s", PYOCI_PACKAGE);
        if (!is_package(places->package)) {
            fprintf(stderr,
                    "pyoci: the package is not at %s: %s (was the environment moved or its Python changed? "
                    "install pyoci again)\n",
                    places->package, strerror(errno));
            return -1;
        }
    }
    if (!known || join(places->python, here, PYOCI_PYTHON_NAME) || !usable(places->python, X_OK))
        snprintf(places->python, sizeof places->python, "%s", PYOCI_PYTHON);
    return 0;
}

/* An empty or relative element makes the dynamic linker search the current directory, which is a bundle when an
   engine calls; containerd sets such a LD_LIBRARY_PATH. Keeps the absolute elements only. */
void pyoci_clean_library_path(void) {
    char *value = getenv("LD_LIBRARY_PATH");
    if (!value)
        return;
    char *copy = strdup(value), *kept = calloc(1, strlen(value) + 2);
    if (!copy || !kept)
        return;
    char *rest = NULL;
    for (char *part = strtok_r(copy, ":;", &rest); part; part = strtok_r(NULL, ":;", &rest)) {
        if (part[0] != '/')
            continue;
        if (kept[0])
            strcat(kept, ":");
        strcat(kept, part);
    }
    if (kept[0])
        setenv("LD_LIBRARY_PATH", kept, 1);
    else
        unsetenv("LD_LIBRARY_PATH");
}
