/* How the embedded Python finds modules: frozen in this program, built in, or a few extension modules opened by path. */
#ifndef PYOCI_LAUNCHER_IMPORTS_H
#define PYOCI_LAUNCHER_IMPORTS_H

#include "api.h"
#include "locate.h"

#include <stdbool.h>

/* Whether the file of every extension module is where it was; remembers `places` for opening them later. */
bool pyoci_extensions_present(const struct pyoci_places *places);

/* The name of a frozen module, in alphabetical order; NULL behind the last. */
const char *pyoci_frozen_name(size_t at);

/* Makes `import` look here first; for when the core is initialised. 0, or -1 with a Python exception set. */
int pyoci_install_imports(void);

#endif
