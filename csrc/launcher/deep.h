/* Deep-frozen modules: code objects that are part of this program (csrc/deepfreeze.py writes them). */
#ifndef PYOCI_LAUNCHER_DEEP_H
#define PYOCI_LAUNCHER_DEEP_H

#include <Python.h>

extern PyObject *const pyoci_deep_frozen[];

/* A frozenset constant, and where it belongs; the last entry has no place. */
struct pyoci_deep_set {
    PyObject **place;
    PyObject *members;
};

extern const struct pyoci_deep_set pyoci_deep_sets[];

#endif
