/* Reading the plan. It comes from the runtime, yet the init trusts no offset, count or register in it: every op is checked before
 * the first one runs, and its offsets become pointers by that. */
#include "init.h"
#include "kernel.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* The two lists of an op, with a NULL after each and room for one more variable. Static: the stack may be as small by now as
 * the container's RLIMIT_STACK says. */
char *string_room[2 * PLAN_MAX_STRINGS + 3];

/* What a field says, against the text it is about; `strings` counts those of the lists of one op. */
struct text {
    char *start;
    uint32_t size;
    uint64_t strings;
};

static bool place_string(const struct text *text, const char **field) {
    uintptr_t at = (uintptr_t)*field;

    if (at >= text->size)
        return false;
    *field = text->start + at;
    return true;
}

static bool place_blob(const struct text *text, const void **field, uint64_t size) {
    uintptr_t at = (uintptr_t)*field;

    if (at >= text->size || at % 8 != 0 || size > text->size - at)
        return false;
    *field = text->start + at;
    return true;
}

static bool place_array(const struct text *text, const void **field, uint64_t count, size_t size) {
    return count <= PLAN_MAX_SIZE && place_blob(text, field, count * size);
}

static bool place_list(struct text *text, struct plan_strings *list) {
    const char *end = text->start + text->size, *string;

    if (!place_string(text, &list->first) || list->count > PLAN_MAX_STRINGS - text->strings)
        return false;
    text->strings += list->count;
    string = list->first;
    for (uint64_t i = 1; i < list->count; i++) {
        string += strlen(string) + 1;
        if (string >= end)
            return false;
    }
    return true;
}

/* place_NAME: whether all fields of an op are sound. */
#define OP(name, error, fields)                                                                                             \
    static bool place_##name(struct text *text, struct op_##name *op) {                                                     \
        (void)text, (void)op;                                                                                               \
        return fields true;                                                                                                 \
    }
#define STR(f)      place_string(text, &op->f) &&
#define LIST(f)     place_list(text, &op->f) &&
#define BYTES(f)    place_blob(text, &op->f.data, op->f.size) &&
#define IDS(f)      place_array(text, (const void **)&op->f.list, op->f.count, sizeof(*op->f.list)) &&
#define FILTER(f)   place_array(text, (const void **)&op->f.list, op->f.count, sizeof(*op->f.list)) &&
#define FD(f)       op->f < REG_COUNT &&
#define ENUM(f, of) op->f < of##_COUNT &&
#define FLAG(f)     op->f <= 1 &&
#define U32(f)
#define I32(f)
#define U64(f)
#include "../ops.def"

static bool place_op(struct text *text, void *op) {
    switch (*(uint16_t *)op) {
#define OP(name, error, fields)                                                                                             \
    case OP_##name:                                                                                                         \
        return place_##name(text, op);
#include "../ops.def"
    }
    return false;
}

/* The size of an op, 0 for a number that is none. */
size_t op_size(uint16_t code) {
    static const uint8_t sizes[OP_COUNT] = {
#define OP(name, error, fields) [OP_##name] = sizeof(struct op_##name),
#include "../ops.def"
    };

    return code < OP_COUNT ? sizes[code] : 0;
}

/* Find where the ops end and the text starts, and check all of them. */
static bool place_plan(struct plan *plan) {
    char *op = plan->ops, *end = (char *)plan->header + plan->header->size;
    struct text text;

    for (uint32_t i = 0; i < plan->header->count; i++) {
        size_t room = (size_t)(end - op), size = room < sizeof(uint64_t) ? 0 : op_size(*(uint16_t *)(void *)op);
        if (size == 0 || size > room)
            return false;
        op += size;
    }
    if (op >= end || end[-1] != '\0')
        return false;
    text = (struct text){.start = op, .size = (uint32_t)(end - op)};
    for (op = plan->ops; op < text.start; op += op_size(*(uint16_t *)(void *)op)) {
        text.strings = 0;
        if (!place_op(&text, op))
            return false;
    }
    return true;
}

/* Read the next plan into memory of its own, with room for the times when they are asked for; the descriptors that come along fill
 * the registers from REG_PASSED on. False at the end of file, and for what is no plan. */
bool receive_plan(struct plan *plan) {
    struct plan_header header;
    int fds[PLAN_MAX_FDS];
    size_t count, size, times;
    char *memory;

    if (!read_with_fds(&header, sizeof(header), fds, &count))
        return false;
    for (size_t i = 0; i < count; i++)
        put((uint16_t)(REG_PASSED + i), fds[i]);
    if (header.magic != PLAN_MAGIC || header.size < sizeof(header) || header.size > PLAN_MAX_SIZE ||
        header.count > PLAN_MAX_OPS)
        return false;
    if (plan->header)
        munmap(plan->header, plan->mapped);
    size = (header.size + 7u) & ~7u;
    times = header.flags & PLAN_TIMED ? (header.count + 1) * sizeof(uint64_t) : 0;
    *plan = (struct plan){.mapped = size + times};
    memory = mmap(NULL, plan->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    plan->header = (struct plan_header *)(void *)memory;
    *plan->header = header;
    plan->ops = memory + sizeof(header);
    plan->times = times ? (uint64_t *)(void *)(memory + size) : NULL;
    return read_all(plan->ops, header.size - sizeof(header)) && place_plan(plan);
}

/* Fill a place with the strings of a list, and a NULL after them; returns the place after it. */
char **list_strings(const struct plan_strings *list, char **place) {
    const char *string = list->first;

    for (uint64_t i = 0; i < list->count; i++) {
        *place++ = (char *)(uintptr_t)string;
        string += strlen(string) + 1;
    }
    *place++ = NULL;
    return place;
}

/* struct sock_fprog counts the instructions in 16 bits. */
void check_filter(const struct plan_filter *filter) {
    if (filter->count == 0 || filter->count > MAX_FILTER)
        fail(EINVAL, STEP_seccomp, "length of the filter");
}
