/* libFuzzer's entry to csrc/json/json.c: a Python in which pyoci._json is the instrumented one. What it makes of an input
 * is held against the standard library by fuzz/json_target.py; see README.md. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

PyMODINIT_FUNC PyInit_fuzzed(void); /* PyInit__json, renamed: the standard library has one, too */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static PyObject *same;

static void stop(void) {
    PyErr_Print();
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    PyImport_AppendInittab("fuzzed", PyInit_fuzzed);
    Py_Initialize();
    if (PyRun_SimpleString("import sys, fuzzed, pyoci\n"
                           "sys.modules['pyoci._json'] = pyoci._json = fuzzed\n"))
        stop();
    PyObject *module = PyImport_ImportModule("fuzz.json_target");
    same = module ? PyObject_GetAttrString(module, "same") : NULL;
    if (!same)
        stop();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    PyObject *result = PyObject_CallFunction(same, "y#", (const char *)data, (Py_ssize_t)size);
    if (!result)
        stop();
    Py_DECREF(result);
    return 0;
}
