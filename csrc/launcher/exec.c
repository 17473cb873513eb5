/* The launcher of the kind exec: a static program that becomes the environment's interpreter running the package.
   An ELF program and not a script, because a script's #! line holds neither long paths nor two options. */
#include "locate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Runs the interpreter without site (`-I -S`) with the command line's arguments. Returns only when that fails, with the status
   to end with. What this launcher is reaches Python as an option -X (pyoci.base.boot.build). */
static int exec_python(const struct pyoci_places *places, char **arguments) {
    char main[PATH_MAX + sizeof "/__main__.py"];
    snprintf(main, sizeof main, "%s/__main__.py", places->package);
    const char *first[] = {places->python, "-I", "-X", "utf8", "-X", "pyoci_build=" PYOCI_BUILD, "-S", main};
    size_t count = 0;
    while (arguments[count])
        count++;
    const char **argv = calloc(sizeof first / sizeof *first + count + 1, sizeof *argv);
    if (!argv) {
        fprintf(stderr, "pyoci: cannot start: out of memory\n");
        return 1;
    }
    memcpy(argv, first, sizeof first);
    memcpy(argv + sizeof first / sizeof *first, arguments, count * sizeof *argv);
    execv(places->python, (char **)argv);
    fprintf(stderr, "pyoci: cannot start the interpreter %s: %s (was Python upgraded or removed? install pyoci again)\n",
            places->python, strerror(errno));
    return 1;
}

int main(int argc, char **argv) {
    static struct pyoci_places places;
    pyoci_clean_library_path();
    if (pyoci_locate(&places))
        return 1;
    return exec_python(&places, argc > 0 ? argv + 1 : argv);
}
