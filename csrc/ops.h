/* The numbers of the ops and steps, and the op as it travels: a struct for each, made from ops.def.
 *
 * References to the text are offsets on their way. In the init, where PLAN_IN_MEMORY is defined, the check of the plan has
 * turned them into pointers (init/plan.c).
 */
#ifndef PYOCI_OPS_H
#define PYOCI_OPS_H

#include "plan.h"

#include <stdint.h>

#ifdef PLAN_IN_MEMORY
#define PLAN_REFERENCE(type) const type *
_Static_assert(sizeof(void *) == sizeof(uint64_t), "a pointer takes the place of an offset");
#else
#define PLAN_REFERENCE(type) uint64_t
#endif

struct sock_filter;

struct plan_strings {
    PLAN_REFERENCE(char) first; /* the others follow it */
    uint64_t count;
};

struct plan_bytes {
    PLAN_REFERENCE(void) data;
    uint64_t size;
};

struct plan_ids {
    PLAN_REFERENCE(uint32_t) list;
    uint64_t count;
};

struct plan_filter {
    PLAN_REFERENCE(struct sock_filter) list;
    uint64_t count;
};

enum plan_opcode {
    OP_NONE,
#define OP(name, error, fields) OP_##name,
#include "ops.def"
    OP_COUNT
};

enum plan_step {
    STEP_NONE,
#define STEP(name) STEP_##name,
#include "ops.def"
    STEP_COUNT
};

/* struct op_NAME: its number, then its fields in the order of ops.def, each on its natural boundary; 8 divides its size. */
#define OP(name, error, fields)                                                                                             \
    struct op_##name {                                                                                                      \
        uint16_t code;                                                                                                      \
        fields                                                                                                              \
    } __attribute__((aligned(8)));
#define STR(f)      PLAN_REFERENCE(char) f;
#define LIST(f)     struct plan_strings f;
#define BYTES(f)    struct plan_bytes f;
#define IDS(f)      struct plan_ids f;
#define FILTER(f)   struct plan_filter f;
#define FD(f)       uint16_t f;
#define ENUM(f, of) uint16_t f;
#define FLAG(f)     uint8_t f;
#define U32(f)      uint32_t f;
#define I32(f)      int32_t f;
#define U64(f)      uint64_t f;
#include "ops.def"

#endif
