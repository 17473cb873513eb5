/* What one op leaves for a later one: descriptors in registers, and a few facts. */
#include "init.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

struct state state;

void clear_state(void) {
    state = (struct state){.mask = 022};
    for (int i = 0; i < REG_COUNT; i++)
        state.registers[i] = -1;
}

int get(uint16_t reg) {
    if (state.registers[reg] < 0)
        fail(EBADF, STEP_plan, "register");
    return state.registers[reg];
}

/* The descriptor is the caller's from now on. */
int take(uint16_t reg) {
    int fd = get(reg);

    state.registers[reg] = -1;
    return fd;
}

/* Keep a descriptor; the one kept before under that name is closed. */
void put(uint16_t reg, int fd) {
    if (state.registers[reg] >= 0 && state.registers[reg] != fd)
        close(state.registers[reg]);
    state.registers[reg] = fd;
}

/* Once, and before a filter: after it each system call would need its leave. */
void set_mask(void) {
    if (!state.mask_set)
        umask(state.mask);
    state.mask_set = true;
}

void close_registers(void) {
    for (uint16_t i = 0; i < REG_COUNT; i++)
        put(i, -1);
}
