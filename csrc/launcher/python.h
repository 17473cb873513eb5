/* Python's core inside this program: it is started when the program is built, and runs the command line afterwards. */
#ifndef PYOCI_LAUNCHER_PYTHON_H
#define PYOCI_LAUNCHER_PYTHON_H

#include "locate.h"

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Where the package and the interpreter are: for pyoci_locate to fill in. */
extern struct pyoci_places pyoci_places;

/* Initialises Python's core, which then finds the frozen modules. Ends the process when it can't. */
void pyoci_start_python(void);

/* What comes first in every process: the environment is made safe, signals are set as Python has them. */
void pyoci_begin(void);

/* Runs the command line and ends the process. */
void pyoci_run(int argc, char **argv) __attribute__((noreturn));

/* The module _pyoci_launcher, one of the built-in ones: what pyoci.base.boot asks about this program. */
PyObject *pyoci_launcher_module(void);

/* Ends the process, showing the Python exception that is set, if any. */
void pyoci_fail(const char *step) __attribute__((noreturn));

#endif
