/* The parts of a start that the two embedded launchers share. */
#ifndef PYOCI_LAUNCHER_EMBED_H
#define PYOCI_LAUNCHER_EMBED_H

#include "imports.h"

/* Where the package and the interpreter are: for pyoci_locate to fill in. */
extern struct pyoci_places pyoci_places;

/* What comes first: the time is noted, the environment made safe, signals are set as Python has them. */
void pyoci_begin(void);

/* Initialises Python's core, which finds the frozen modules. Ends the process when it can't. */
void pyoci_start_python(void);

/* Runs the command line and ends the process. */
void pyoci_run(int argc, char **argv) __attribute__((noreturn));

/* Ends the process, showing the Python exception that is set, if any. */
void pyoci_fail(const char *step) __attribute__((noreturn));

#endif
