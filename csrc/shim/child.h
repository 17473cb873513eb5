/* Helper programs on the host. */
#ifndef PYOCI_SHIM_CHILD_H
#define PYOCI_SHIM_CHILD_H

/* cffi:begin */

/* Starts a program with `files` (all above 2) as its standard input, output and error, no other descriptor, all signals at their default and none blocked, in a process group of its own, in `directory` unless that is
   negative. Its pid or -errno. */
int pyoci_start_program(const char *path, char *const argv[], char *const environment[], const int *files, int directory);

/* cffi:end */

#endif
