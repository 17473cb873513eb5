/* The simple launcher: a static program that becomes the environment's interpreter running the package.
   An ELF program and not a script, because a script's #! line holds neither long paths nor two options. */
#include "locate.h"

int main(int argc, char **argv) {
    static struct pyoci_places places;
    pyoci_clean_library_path();
    if (pyoci_locate(&places))
        return 1;
    return pyoci_exec_python(&places, argc > 0 ? argv + 1 : argv);
}
