/* A kernel that does nothing: the init's system calls end here, so a hostile plan can be executed without harm.
 *
 * An input is
 *
 *     uint16_t count | count bytes of answers | what comes in on the sync socket: plans, and one byte after READY
 *
 * Each answer decides how one call ends or what it finds; behind the last one every call succeeds.
 */
#ifndef FUZZ_KERNEL_H
#define FUZZ_KERNEL_H

#include <stddef.h>
#include <stdint.h>

/* Compiled with -Dmain=init_main. */
int init_main(int argc, char **argv);

/* Run the init on one input; how it ended, in words. The process aborts when the init breaks a promise, and a sanitizer ends it
 * when the init breaks a rule of C. */
const char *run_init(const uint8_t *data, size_t size);

#endif
