/* Helper programs on the host. */
#ifndef PYOCI_SHIM_CHILD_H
#define PYOCI_SHIM_CHILD_H

/* cffi:begin */

/* Starts a program with `input` as its standard input and `output` as its two others (both above 2), no other
   descriptor, all signals at their default and none blocked, in a process group of its own, in `directory` unless that is
   negative. Its pid or -errno. */
int pyoci_start_program(const char *path, char *const argv[], char *const environment[], int input, int output,
                        int directory);

/* cffi:end */

#endif
