/* The heap that the image of the static launcher holds. */
#ifndef PYOCI_LAUNCHER_HEAP_H
#define PYOCI_LAUNCHER_HEAP_H

/* Python takes its memory from there, too; to be called before it is initialised. */
void pyoci_heap_for_python(void);

#endif
