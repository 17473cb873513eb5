/* How the embedded Python finds modules: frozen in this program, or built in. */
#ifndef PYOCI_LAUNCHER_IMPORTS_H
#define PYOCI_LAUNCHER_IMPORTS_H

#include <stddef.h>

/* The name of a frozen module, in alphabetical order; NULL after the last. */
const char *pyoci_frozen_name(size_t at);

/* Makes `import` look here first; for when the core is initialised. 0, or -1 with a Python exception set. */
int pyoci_install_imports(void);

#endif
