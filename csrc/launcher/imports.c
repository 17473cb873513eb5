/* Takes the place of importlib._bootstrap._find_and_load, which `import` calls for what is not in sys.modules: importlib's
 * own way through specs, loaders and locks costs some 20 microseconds a module. What is not known here goes on to
 * importlib, which finds nothing more than the standard library's frozen modules in a core-only interpreter.
 */
#include "imports.h"

#include "python.h"

#include <marshal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct frozen {
    const char *name;
    unsigned offset;
    unsigned size;
    bool is_package;
};

/* sorted by name */
static const struct frozen frozen_modules[] = {
#include "frozen_table.h"
};

extern const char pyoci_frozen_code[];
__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        ".globl pyoci_frozen_code\n"
        "pyoci_frozen_code: .incbin \"" PYOCI_FROZEN_CODE "\"\n"
        ".popsection\n");

#define MODULE(name, start) extern PyObject *start(void);
#include "builtin_table.h"
#undef MODULE

/* Takes the place of Python's own table (config.c), which would pull in all its modules. */
struct _inittab _PyImport_Inittab[] = {
#define MODULE(name, start) {name, start},
#include "builtin_table.h"
#undef MODULE
    {"_pyoci_launcher", pyoci_launcher_module},
    {"builtins", NULL},
    {"sys", NULL},
    {NULL, NULL},
};

/* The step of Python's start that importing the module _signal relies on, and that the core's start leaves out. */
int _PySignal_Init(int install_handlers);

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static PyObject *importlib_find_and_load, *importlib_handle_fromlist;
static PyObject *no_path; /* the __path__ of every module: an empty list */
static PyObject *loaded;  /* the __spec__ of every module: an object that says "not being initialised any more" */

static int set_item(PyObject *dict, const char *key, PyObject *value) {
    return value ? PyDict_SetItemString(dict, key, value) : -1;
}

/* Runs a frozen module's code in a new module. */
static PyObject *load_frozen(const struct frozen *entry) {
    PyObject *module = PyImport_AddModule(entry->name);
    PyObject *names = module ? PyModule_GetDict(module) : NULL;
    if (!names || set_item(names, "__builtins__", PyEval_GetBuiltins()))
        return NULL;
    if (entry->is_package && set_item(names, "__path__", no_path))
        return NULL;
    PyObject *code = PyMarshal_ReadObjectFromString(pyoci_frozen_code + entry->offset, entry->size);
    if (!code || !PyEval_EvalCode(code, names, names))
        return NULL;
    Py_IncRef(module);
    return module;
}

/* Finishes what a module's init function returned: a module, or the definition of one. */
static PyObject *finish(const char *name, PyObject *module) {
    if (!module)
        return NULL;
    PyObject *modules = PyImport_GetModuleDict();
    if (strcmp(Py_TYPE(module)->tp_name, "moduledef") != 0)
        return set_item(modules, name, module) ? NULL : module;
    /* any object with a name passes for a spec: here, an empty module */
    PyModuleDef *definition = (PyModuleDef *)module;
    PyObject *spec = PyModule_New(name);
    PyObject *text = PyUnicode_DecodeUTF8(name, (Py_ssize_t)strlen(name), NULL);
    if (!spec || !text || PyObject_SetAttrString(spec, "name", text))
        return NULL;
    module = PyModule_FromDefAndSpec2(definition, spec, PYTHON_API_VERSION);
    if (!module || set_item(modules, name, module) || PyModule_ExecDef(module, definition))
        return NULL;
    return module;
}

static int compare_name(const void *name, const void *entry) {
    return strcmp(name, ((const struct frozen *)entry)->name);
}

/* The module of a name, or NULL: with an exception set when it does not load, without one when it is not known here. */
static PyObject *load(const char *name) {
    const struct frozen *frozen =
        bsearch(name, frozen_modules, COUNT(frozen_modules), sizeof(*frozen_modules), compare_name);
    if (frozen)
        return load_frozen(frozen);
    if (strcmp(name, "_signal") == 0 && _PySignal_Init(0))
        return NULL;
    for (struct _inittab *built_in = _PyImport_Inittab; built_in->name; built_in++)
        if (strcmp(name, built_in->name) == 0 && built_in->initfunc)
            return finish(name, built_in->initfunc());
    return NULL;
}

/* Every later `import` of a module asks its __spec__ whether it is still being initialised, and `from module import` whether
 * it has a __path__: without an answer, each time an exception is made and thrown away. */
static int mark_loaded(PyObject *module) {
    return PyObject_SetAttrString(module, "__spec__", loaded) || PyObject_SetAttrString(module, "__path__", no_path);
}

/* Loads the package that a module is in, and gives it the module as an attribute. */
static PyObject *load_in_parent(const char *name) {
    char parent[256];
    const char *dot = strrchr(name, '.');
    if (!dot) {
        PyObject *module = load(name);
        return module && mark_loaded(module) ? NULL : module;
    }
    snprintf(parent, sizeof(parent), "%.*s", (int)(dot - name), name);
    PyObject *package = PyImport_ImportModule(parent);
    if (!package)
        return NULL;
    PyObject *module = PyDict_GetItemString(PyImport_GetModuleDict(), name);
    if (module) {
        Py_IncRef(module);
        return module;
    }
    module = load(name);
    if (module && (mark_loaded(module) || PyObject_SetAttrString(package, dot + 1, module)))
        return NULL;
    return module;
}

static PyObject *find_and_load(PyObject *self, PyObject *arguments) {
    (void)self;
    PyObject *name = PyTuple_GetItem(arguments, 0);
    const char *text = name ? PyUnicode_AsUTF8(name) : NULL;
    if (!text)
        return NULL;
    PyObject *module = load_in_parent(text);
    if (module)
        return module;
    if (!PyErr_Occurred())
        return PyObject_Call(importlib_find_and_load, arguments, NULL);
    /* a module that failed half-way must not stay; keep the exception over the removal of what may not be there */
    PyObject *modules = PyImport_GetModuleDict();
    if (PyDict_GetItemString(modules, text))
        PyDict_DelItemString(modules, text);
    return NULL;
}

/* Takes the place of importlib._bootstrap._handle_fromlist, which `from package import name, ...` calls: a name that the
 * package does not have yet is a module in it. Other forms, as `import *` in the standard library, go to importlib. */
static PyObject *handle_fromlist(PyObject *self, PyObject *arguments) {
    PyObject *package = PyTuple_GetItem(arguments, 0), *names = PyTuple_GetItem(arguments, 1);
    PyObject *known = package ? PyModule_GetDict(package) : NULL;
    char whole[256];

    (void)self;
    if (!known || !names)
        return NULL;
    if (!PyTuple_Check(names))
        return PyObject_Call(importlib_handle_fromlist, arguments, NULL);
    for (Py_ssize_t at = 0; at < PyTuple_Size(names); at++) {
        const char *name = PyUnicode_AsUTF8(PyTuple_GetItem(names, at));
        if (!name)
            return NULL;
        if (strcmp(name, "*") == 0)
            return PyObject_Call(importlib_handle_fromlist, arguments, NULL);
        if (PyDict_GetItemString(known, name))
            continue;
        snprintf(whole, sizeof(whole), "%s.%s", PyModule_GetName(package), name);
        if (!PyImport_ImportModule(whole))
            return NULL;
    }
    Py_IncRef(package);
    return package;
}

const char *pyoci_frozen_name(size_t at) {
    return at < COUNT(frozen_modules) ? frozen_modules[at].name : NULL;
}

int pyoci_install_imports(void) {
    static PyMethodDef definitions[] = {
        {"_find_and_load", find_and_load, METH_VARARGS, NULL},
        {"_handle_fromlist", handle_fromlist, METH_VARARGS, NULL},
    };
    PyObject *importlib = PyDict_GetItemString(PyImport_GetModuleDict(), "_frozen_importlib");
    PyObject *no = PyLong_FromLongLong(0);
    if (!importlib || !no)
        return -1;
    loaded = PyModule_New("loaded");
    no_path = PyList_New(0);
    importlib_find_and_load = PyObject_GetAttrString(importlib, "_find_and_load");
    importlib_handle_fromlist = PyObject_GetAttrString(importlib, "_handle_fromlist");
    if (!loaded || !no_path || !importlib_find_and_load || !importlib_handle_fromlist ||
        PyObject_SetAttrString(loaded, "_initializing", no))
        return -1;
    for (size_t at = 0; at < COUNT(definitions); at++) {
        PyObject *function = PyCFunction_NewEx(&definitions[at], NULL, NULL);
        if (!function || PyObject_SetAttrString(importlib, definitions[at].ml_name, function))
            return -1;
    }
    return 0;
}
