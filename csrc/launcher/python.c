/* Python's core inside the static launcher.
 *
 * Only the core is initialised: no site, no import path, no io, no codecs beyond UTF-8. That is all the hot commands need;
 * the cold ones exec the environment's interpreter (pyoci.base.boot.go_full).
 */
#include "python.h"

#include "imports.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct pyoci_places pyoci_places;

void pyoci_begin(void) {
    pyoci_clean_library_path();
    /* as an ordinary interpreter does in the part of its start that is left out here */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

PyObject *pyoci_launcher_module(void) {
    static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_pyoci_launcher", .m_size = -1};
    PyObject *module = PyModule_Create2(&definition, PYTHON_API_VERSION);
    if (!module || PyModule_AddStringConstant(module, "build", PYOCI_BUILD) ||
        PyModule_AddStringConstant(module, "python", pyoci_places.python) ||
        PyModule_AddStringConstant(module, "package", pyoci_places.package))
        return NULL;
    return module;
}

static void stop_on(const char *step, PyStatus status) {
    if (!PyStatus_Exception(status))
        return;
    fprintf(stderr, "pyoci: Python does not start: %s: %s\n", step, status.err_msg ? status.err_msg : "no reason given");
    _exit(1);
}

/* Every path is given, so that Python searches for none; the core uses none of them. */
static void set_paths(PyConfig *config) {
    wchar_t **paths[] = {
        &config->executable,  &config->base_executable, &config->program_name,
        &config->home,        &config->platlibdir,      &config->prefix,
        &config->base_prefix, &config->exec_prefix,     &config->base_exec_prefix,
    };
    config->module_search_paths_set = 1;
    for (size_t at = 0; at < sizeof(paths) / sizeof(*paths); at++)
        stop_on("paths", PyConfig_SetString(config, paths[at], L"/"));
}

void pyoci_start_python(void) {
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    before.configure_locale = 0;
    stop_on("before the core", Py_PreInitialize(&before));

    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config._init_main = 0;
    config.site_import = 0;
    config.install_signal_handlers = 0;
    config.pathconfig_warnings = 0;
    set_paths(&config);
    stop_on("the core", Py_InitializeFromConfig(&config));
    PyGC_Disable(); /* a command ends long before collecting would pay */
    if (pyoci_install_imports())
        pyoci_fail("the import of modules");
}

void pyoci_fail(const char *step) {
    PyErr_Print();
    fprintf(stderr, "pyoci: Python does not start: %s\n", step);
    _exit(1);
}

static PyObject *argument_list(int argc, char **argv) {
    PyObject *list = PyList_New(argc > 0 ? argc - 1 : 0);
    for (int at = 1; list && at < argc; at++) {
        PyObject *text = PyUnicode_DecodeUTF8(argv[at], (Py_ssize_t)strlen(argv[at]), "surrogateescape");
        if (!text)
            return NULL;
        PyList_SetItem(list, at - 1, text);
    }
    return list;
}

void pyoci_run(int argc, char **argv) {
    PyObject *arguments = argument_list(argc, argv);
    PyObject *program = arguments ? PyImport_ImportModule("pyoci.cli.program") : NULL;
    if (program)
        PyObject_CallMethod(program, "run", "(O)", arguments);
    /* pyoci.cli.program.run ends the process: coming here means that it could not even begin */
    pyoci_fail("the launcher's own modules do not load");
}
