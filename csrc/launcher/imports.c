/* Takes the place of importlib._bootstrap._find_and_load, which `import` calls for what is not in sys.modules: importlib's
 * own way through specs, loaders and locks costs some 20 microseconds a module. What is not known here goes on to
 * importlib, which finds nothing more than the standard library's frozen modules in a core-only interpreter.
 */
#include "imports.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* An extension module: a file in one of some directories, "" meaning the package's own and "." the one above it. */
struct extension {
    const char *name;
    const char *file;
    const char *directories[4];
};

static const struct extension extensions[] = {
#include "extension_table.h"
    {NULL, NULL, {NULL}},
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct pyoci_places *where;
static PyObject *importlib_find_and_load, *importlib_handle_fromlist;
static PyObject *no_path; /* the __path__ of every module: an empty list */
static PyObject *loaded;  /* the __spec__ of every module: an object that says "not being initialised any more" */

static int set_item(PyObject *dict, const char *key, PyObject *value) {
    return value ? PY(PyDict_SetItemString)(dict, key, value) : -1;
}

/* Runs a frozen module's code in a new module. */
static PyObject *load_frozen(const struct frozen *entry) {
    PyObject *module = PY(PyImport_AddModule)(entry->name);
    PyObject *names = module ? PY(PyModule_GetDict)(module) : NULL;
    if (!names || set_item(names, "__builtins__", PY(PyEval_GetBuiltins)()))
        return NULL;
    if (entry->is_package && set_item(names, "__path__", no_path))
        return NULL;
    PyObject *code = PY(PyMarshal_ReadObjectFromString)(pyoci_frozen_code + entry->offset, entry->size);
    if (!code || !PY(PyEval_EvalCode)(code, names, names))
        return NULL;
    PY(Py_IncRef)(module);
    return module;
}

/* Finishes what a module's init function returned: a module, or the definition of one. */
static PyObject *finish(const char *name, PyObject *module) {
    if (!module)
        return NULL;
    PyObject *modules = PY(PyImport_GetModuleDict)();
    if (strcmp(Py_TYPE(module)->tp_name, "moduledef") != 0)
        return set_item(modules, name, module) ? NULL : module;
    /* any object with a name passes for a spec: here, an empty module */
    PyModuleDef *definition = (PyModuleDef *)module;
    PyObject *spec = PY(PyModule_New)(name);
    PyObject *text = PY(PyUnicode_DecodeUTF8)(name, (Py_ssize_t)strlen(name), NULL);
    if (!spec || !text || PY(PyObject_SetAttrString)(spec, "name", text))
        return NULL;
    module = PY(PyModule_FromDefAndSpec2)(definition, spec, PYTHON_API_VERSION);
    if (!module || set_item(modules, name, module) || PY(PyModule_ExecDef)(module, definition))
        return NULL;
    return module;
}

/* The path of an extension module's file, or false when there is none. */
static bool extension_file(const struct extension *entry, char *path) {
    for (size_t at = 0; at < COUNT(entry->directories) && entry->directories[at]; at++) {
        const char *directory = entry->directories[at];
        int length;
        if (directory[0] == '/')
            length = snprintf(path, PATH_MAX, "%s/%s", directory, entry->file);
        else
            length = snprintf(path, PATH_MAX, "%s%s/%s", where->package, directory[0] ? "/.." : "", entry->file);
        if (length < PATH_MAX && access(path, R_OK) == 0)
            return true;
    }
    return false;
}

/* cffi's module wants the type of files, for arguments that are a FILE *, which pyoci._shim has none of; the whole module _io
 * takes 0.15 ms. It gets a type that nothing passed to a function is of. */
static PyObject *start_cffi(PyObject *(*start)(void)) {
    PyObject *modules = PY(PyImport_GetModuleDict)();
    if (PY(PyDict_GetItemString)(modules, "_io"))
        return finish("_cffi_backend", start());
    PyObject *stand_in = PY(PyImport_AddModule)("_io");
    if (!stand_in || PY(PyObject_SetAttrString)(stand_in, "_IOBase", (PyObject *)Py_TYPE(importlib_find_and_load)))
        return NULL;
    PyObject *module = finish("_cffi_backend", start());
    if (module && PY(PyDict_DelItemString)(modules, "_io"))
        return NULL;
    return module;
}

static PyObject *load_extension(const struct extension *entry) {
    char path[PATH_MAX] = "", symbol[128];
    const char *dot = strrchr(entry->name, '.');
    snprintf(symbol, sizeof(symbol), "PyInit_%s", dot ? dot + 1 : entry->name);
    PyObject *(*start)(void) = NULL;
    void *library = extension_file(entry, path) ? dlopen(path, RTLD_LAZY) : NULL;
    if (library)
        *(void **)&start = dlsym(library, symbol);
    if (start)
        return strcmp(entry->name, "_cffi_backend") == 0 ? start_cffi(start) : finish(entry->name, start());
    char text[PATH_MAX + 512];
    const char *reason = path[0] ? dlerror() : "no such file";
    snprintf(text, sizeof(text), "%s cannot be loaded (%s): was Python upgraded or removed? install pyoci again",
             entry->file, reason ? reason : "unknown error");
    PyObject *kind = PY(PyDict_GetItemString)(PY(PyEval_GetBuiltins)(), "ImportError");
    PY(PyErr_SetString)(kind, text);
    return NULL;
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
    for (size_t at = 0; extensions[at].name; at++)
        if (strcmp(name, extensions[at].name) == 0)
            return load_extension(&extensions[at]);
    if (strcmp(name, "_signal") == 0 && pyoci_prepare_signals())
        return NULL;
    for (struct _inittab *built_in = pyoci_inittab(); built_in && built_in->name; built_in++)
        if (strcmp(name, built_in->name) == 0 && built_in->initfunc)
            return finish(name, built_in->initfunc());
    return NULL;
}

/* Every later `import` of a module asks its __spec__ whether it is still being initialised, and `from module import` whether
 * it has a __path__: without an answer, each time an exception is made and thrown away. */
static int mark_loaded(PyObject *module) {
    return PY(PyObject_SetAttrString)(module, "__spec__", loaded) || PY(PyObject_SetAttrString)(module, "__path__", no_path);
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
    PyObject *package = PY(PyImport_ImportModule)(parent);
    if (!package)
        return NULL;
    PyObject *module = PY(PyDict_GetItemString)(PY(PyImport_GetModuleDict)(), name);
    if (module) {
        PY(Py_IncRef)(module);
        return module;
    }
    module = load(name);
    if (module && (mark_loaded(module) || PY(PyObject_SetAttrString)(package, dot + 1, module)))
        return NULL;
    return module;
}

static PyObject *find_and_load(PyObject *self, PyObject *arguments) {
    (void)self;
    PyObject *name = PY(PyTuple_GetItem)(arguments, 0);
    const char *text = name ? PY(PyUnicode_AsUTF8)(name) : NULL;
    if (!text)
        return NULL;
    PyObject *module = load_in_parent(text);
    if (module)
        return module;
    if (!PY(PyErr_Occurred)())
        return PY(PyObject_Call)(importlib_find_and_load, arguments, NULL);
    /* a module that failed half-way must not stay; keep the exception over the removal of what may not be there */
    PyObject *modules = PY(PyImport_GetModuleDict)();
    if (PY(PyDict_GetItemString)(modules, text))
        PY(PyDict_DelItemString)(modules, text);
    return NULL;
}

/* Takes the place of importlib._bootstrap._handle_fromlist, which `from package import name, ...` calls: a name that the
 * package does not have yet is a module in it. Other forms, as `import *` in the standard library, go to importlib. */
static PyObject *handle_fromlist(PyObject *self, PyObject *arguments) {
    PyObject *package = PY(PyTuple_GetItem)(arguments, 0), *names = PY(PyTuple_GetItem)(arguments, 1);
    PyObject *known = package ? PY(PyModule_GetDict)(package) : NULL;
    char whole[256];

    (void)self;
    if (!known || !names)
        return NULL;
    if (!PyTuple_Check(names))
        return PY(PyObject_Call)(importlib_handle_fromlist, arguments, NULL);
    for (Py_ssize_t at = 0; at < PY(PyTuple_Size)(names); at++) {
        const char *name = PY(PyUnicode_AsUTF8)(PY(PyTuple_GetItem)(names, at));
        if (!name)
            return NULL;
        if (strcmp(name, "*") == 0)
            return PY(PyObject_Call)(importlib_handle_fromlist, arguments, NULL);
        if (PY(PyDict_GetItemString)(known, name))
            continue;
        snprintf(whole, sizeof(whole), "%s.%s", PY(PyModule_GetName)(package), name);
        if (!PY(PyImport_ImportModule)(whole))
            return NULL;
    }
    PY(Py_IncRef)(package);
    return package;
}

const char *pyoci_frozen_name(size_t at) {
    return at < COUNT(frozen_modules) ? frozen_modules[at].name : NULL;
}

bool pyoci_extensions_present(const struct pyoci_places *places) {
    char path[PATH_MAX];
    where = places;
    for (size_t at = 0; extensions[at].name; at++)
        if (!extension_file(&extensions[at], path))
            return false;
    return true;
}

int pyoci_install_imports(void) {
    static PyMethodDef definitions[] = {
        {"_find_and_load", find_and_load, METH_VARARGS, NULL},
        {"_handle_fromlist", handle_fromlist, METH_VARARGS, NULL},
    };
    PyObject *importlib = PY(PyDict_GetItemString)(PY(PyImport_GetModuleDict)(), "_frozen_importlib");
    PyObject *no = PY(PyLong_FromLongLong)(0);
    if (!importlib || !no)
        return -1;
    loaded = PY(PyModule_New)("loaded");
    no_path = PY(PyList_New)(0);
    importlib_find_and_load = PY(PyObject_GetAttrString)(importlib, "_find_and_load");
    importlib_handle_fromlist = PY(PyObject_GetAttrString)(importlib, "_handle_fromlist");
    if (!loaded || !no_path || !importlib_find_and_load || !importlib_handle_fromlist ||
        PY(PyObject_SetAttrString)(loaded, "_initializing", no))
        return -1;
    for (size_t at = 0; at < COUNT(definitions); at++) {
        PyObject *function = PY(PyCFunction_NewEx)(&definitions[at], NULL, NULL);
        if (!function || PY(PyObject_SetAttrString)(importlib, definitions[at].ml_name, function))
            return -1;
    }
    return 0;
}
