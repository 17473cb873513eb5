/* Opens a shared libpython and looks its functions up; nothing to do where Python is linked in. */
#include "api.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

#ifdef PYOCI_LIBPYTHON

struct pyoci_python pyoci_python;
static struct _inittab **inittab;

int pyoci_open_python(void) {
    void *library = dlopen(PYOCI_LIBPYTHON, RTLD_LAZY | RTLD_GLOBAL);
    if (!library)
        return -1;
#define X(name)                                                                                                             \
    if (!(*(void **)&pyoci_python.name##_ = dlsym(library, #name)))                                                         \
        return -1;
    PYOCI_PYTHON_FUNCTIONS(X)
#undef X
    inittab = dlsym(library, "PyImport_Inittab");
    /* the frozen code is made for one minor version */
    size_t length = strlen(PYOCI_PYTHON_MINOR);
    const char *version = PY(Py_GetVersion)();
    if (!inittab || strncmp(version, PYOCI_PYTHON_MINOR, length) != 0 || version[length] != '.')
        return -1;
    return PY(PyImport_AppendInittab)("_pyoci_launcher", pyoci_launcher_module);
}

struct _inittab *pyoci_inittab(void) {
    return *inittab;
}

/* The function for signals alone is not exported: the whole main initialisation has it in it (2 ms). */
int pyoci_prepare_signals(void) {
    static bool done;
    if (!done && PY(PyStatus_Exception)(PY(_Py_InitializeMain)())) {
        PY(PyErr_SetString)
        (PY(PyDict_GetItemString)(PY(PyEval_GetBuiltins)(), "ImportError"), "Python's main initialisation");
        return -1;
    }
    done = true;
    return 0;
}

#else

int _PySignal_Init(int install_handlers);

int pyoci_prepare_signals(void) {
    return _PySignal_Init(0);
}

#define MODULE(name, start) extern PyObject *start(void);
#include "builtin_table.h"
#undef MODULE

/* In the place of Python's own table (config.c), which would pull in all its modules. */
struct _inittab _PyImport_Inittab[] = {
#define MODULE(name, start) {name, start},
#include "builtin_table.h"
#undef MODULE
    {"_pyoci_launcher", pyoci_launcher_module},
    {"builtins", NULL},
    {"sys", NULL},
    {NULL, NULL},
};

int pyoci_open_python(void) {
    return 0;
}

struct _inittab *pyoci_inittab(void) {
    return _PyImport_Inittab;
}

#endif
