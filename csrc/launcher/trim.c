/* Changes Python's start by functions that only a static libpython lets us reach: leaves out work that the launcher has no
 * use for (1 of 2.5 ms), and does the one step of the main initialisation that a built-in module relies on. The linker's
 * --wrap puts the __wrap_ functions in the place of Python's own.
 */
#define Py_BUILD_CORE 1
#include "api.h"

#include <internal/pycore_gc.h>

/* Python 3.11 and 3.12 carry the standard library's start-up modules as static objects, and intern the names in all of
   them; the core runs one, and touching the others copies a hundred pages. */
#if PY_VERSION_HEX < 0x030d0000

PyObject *_Py_get_importlib__bootstrap_toplevel(void);
int __wrap__Py_Deepfreeze_Init(void);

#if PY_VERSION_HEX < 0x030c0000
int _PyStaticCode_InternStrings(PyCodeObject *);
#define INTERN _PyStaticCode_InternStrings
#else
int _PyStaticCode_Init(PyCodeObject *);
#define INTERN _PyStaticCode_Init
#endif

int __wrap__Py_Deepfreeze_Init(void) {
    return INTERN((PyCodeObject *)_Py_get_importlib__bootstrap_toplevel());
}

#endif

/* The collector runs once during the core's start, over objects that all stay. */
void __real__PyGC_InitState(struct _gc_runtime_state *);
void __wrap__PyGC_InitState(struct _gc_runtime_state *);

void __wrap__PyGC_InitState(struct _gc_runtime_state *state) {
    __real__PyGC_InitState(state);
    state->enabled = 0;
}

int _PySignal_Init(int install_handlers);

int pyoci_prepare_signals(void) {
    return _PySignal_Init(0);
}
