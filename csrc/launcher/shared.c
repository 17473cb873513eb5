/* The launcher that opens libpython at run time. When a file it needs is gone, it does what the simple launcher does. */
#include "embed.h"

int main(int argc, char **argv) {
    pyoci_begin();
    if (pyoci_locate(&pyoci_places))
        return 1;
    if (!pyoci_extensions_present(&pyoci_places) || pyoci_open_python())
        return pyoci_exec_python(&pyoci_places, argc > 0 ? argv + 1 : argv);
    pyoci_start_python();
    pyoci_run(argc, argv);
}
