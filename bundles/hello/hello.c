/* What the hello bundle runs: says where it is. */
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(void) {
    struct utsname name;
    if (uname(&name))
        return 1;
    printf("Hello from a container: process %d on host \"%s\", Linux %s\n", (int)getpid(), name.nodename, name.release);
    return fflush(stdout) ? 1 : 0;
}
