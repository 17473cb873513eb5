/* The connection to a message bus. */
#ifndef PYOCI_BUS_H
#define PYOCI_BUS_H

#include <stddef.h>

/* cffi:begin */

/* Connects to a unix stream socket; an abstract name starts with a NUL byte. A close-on-exec descriptor or -errno. */
int pyoci_unix_connect(const char *name, size_t length);

/* cffi:end */

#endif
