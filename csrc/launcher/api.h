/* Python's C API as the embedded launcher calls it: PY(function)(...).
 *
 * Linked statically, PY(f) is f. With a shared libpython (PYOCI_LIBPYTHON is its path) the functions are looked up at run
 * time, because a program that is linked to a library that is gone does not even reach main.
 * Only functions: nothing here may use Python's data symbols (Py_None, PyExc_*, types).
 */
#ifndef PYOCI_LAUNCHER_API_H
#define PYOCI_LAUNCHER_API_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <marshal.h>

/* Makes Python's functions callable. 0, or -1 when there is no libpython of the version this was built for. */
int pyoci_open_python(void);

/* Python's table of built-in modules. */
struct _inittab *pyoci_inittab(void);

/* Prepares what importing the module _signal relies on, and the core's start leaves out. 0, or -1 with an exception set. */
int pyoci_prepare_signals(void);

/* The module _pyoci_launcher (embed.c), one of the built-in ones. */
PyObject *pyoci_launcher_module(void);

#ifdef PYOCI_LIBPYTHON

#define PYOCI_PYTHON_FUNCTIONS(X)                                                                                           \
    X(PyCFunction_NewEx)                                                                                                    \
    X(PyConfig_InitIsolatedConfig)                                                                                          \
    X(PyConfig_SetString)                                                                                                   \
    X(PyDict_DelItemString)                                                                                                 \
    X(PyDict_GetItemString)                                                                                                 \
    X(PyDict_SetItemString)                                                                                                 \
    X(PyErr_Occurred)                                                                                                       \
    X(PyErr_Print)                                                                                                          \
    X(PyErr_SetString)                                                                                                      \
    X(PyEval_EvalCode)                                                                                                      \
    X(PyEval_GetBuiltins)                                                                                                   \
    X(PyGC_Disable)                                                                                                         \
    X(PyImport_AddModule)                                                                                                   \
    X(PyImport_AppendInittab)                                                                                               \
    X(PyImport_GetModuleDict)                                                                                               \
    X(PyImport_ImportModule)                                                                                                \
    X(PyList_New)                                                                                                           \
    X(PyList_SetItem)                                                                                                       \
    X(PyLong_FromLongLong)                                                                                                  \
    X(PyMarshal_ReadObjectFromString)                                                                                       \
    X(PyModule_AddStringConstant)                                                                                           \
    X(PyModule_Create2)                                                                                                     \
    X(PyModule_ExecDef)                                                                                                     \
    X(PyModule_FromDefAndSpec2)                                                                                             \
    X(PyModule_GetDict)                                                                                                     \
    X(PyModule_GetName)                                                                                                     \
    X(PyModule_New)                                                                                                         \
    X(PyObject_Call)                                                                                                        \
    X(PyObject_CallMethod)                                                                                                  \
    X(PyObject_GetAttrString)                                                                                               \
    X(PyObject_SetAttrString)                                                                                               \
    X(PyPreConfig_InitIsolatedConfig)                                                                                       \
    X(PyStatus_Exception)                                                                                                   \
    X(PyTuple_GetItem)                                                                                                      \
    X(PyTuple_Size)                                                                                                         \
    X(PyUnicode_AsUTF8)                                                                                                     \
    X(PyUnicode_DecodeUTF8)                                                                                                 \
    X(Py_GetVersion)                                                                                                        \
    X(Py_IncRef)                                                                                                            \
    X(Py_InitializeFromConfig)                                                                                              \
    X(Py_PreInitialize)                                                                                                     \
    X(_Py_InitializeMain)

struct pyoci_python {
#define X(name) __typeof__(&name) name##_;
    PYOCI_PYTHON_FUNCTIONS(X)
#undef X
};
extern struct pyoci_python pyoci_python;
#define PY(name) (pyoci_python.name##_)

#else
#define PY(name) name
#endif

#endif
