/* Where the launcher finds the interpreter and the package. */
#ifndef PYOCI_LAUNCHER_LOCATE_H
#define PYOCI_LAUNCHER_LOCATE_H

#include <limits.h>

struct pyoci_places {
    char python[PATH_MAX];  /* the environment's interpreter, absolute */
    char package[PATH_MAX]; /* the directory of the package pyoci, absolute */
};

/* Fills `places` and returns 0, or says on standard error what is missing and returns -1. */
int pyoci_locate(struct pyoci_places *places);

/* Takes out of LD_LIBRARY_PATH what would make programs started from here load libraries of the current directory. */
void pyoci_clean_library_path(void);

#endif
