/* Reading the plan. It comes from the runtime, yet the init trusts no offset, count or register in it. */
#include "init.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Of the two lists of an op, with a NULL behind each and room for one more variable. Static: the stack may be as small by now as
 * the container's RLIMIT_STACK says. */
static char *strings[PLAN_MAX_STRINGS + 3];

/* Whether every op has a known code, known registers and texts that start within the text area. */
bool plan_is_sound(const struct plan_header *header, const struct plan_op *ops, const char *text) {
    uint64_t fixed = sizeof(*header) + (uint64_t)header->count * sizeof(*ops);

    if (header->magic != PLAN_MAGIC || header->count > PLAN_MAX_OPS || header->size > PLAN_MAX_SIZE)
        return false;
    if (fixed >= header->size || text[header->size - fixed - 1] != '\0')
        return false;
    for (uint32_t i = 0; i < header->count; i++) {
        const struct plan_op *op = &ops[i];
        if (op->code == OP_NONE || op->code >= OP_COUNT || op->fd >= REG_COUNT || op->fd2 >= REG_COUNT)
            return false;
        for (int k = 0; k < PLAN_TEXTS; k++)
            if (op->texts[k] >= header->size - fixed)
                return false;
    }
    return true;
}

const char *op_text(const struct plan_op *op, int index) {
    return init.plan.text + op->texts[index];
}

const void *op_blob(const struct plan_op *op, int index, uint64_t size) {
    if (size > init.plan.text_size - op->texts[index])
        fail(EBADMSG, "plan", "blob");
    return op_text(op, index);
}

const char *next_text(const char *text) {
    const char *end = init.plan.text + init.plan.text_size;

    text += strlen(text) + 1;
    if (text >= end)
        fail(EBADMSG, "plan", "list");
    return text;
}

/* Fill out[0..count-1] with the strings that follow each other from a text on, and out[count] with NULL. */
static void fill_list(const struct plan_op *op, int index, uint64_t count, char **out) {
    const char *text = op_text(op, index);

    for (uint64_t i = 0; i < count; i++) {
        if (i > 0)
            text = next_text(text);
        out[i] = (char *)(uintptr_t)text;
    }
    out[count] = NULL;
}

/* The lists that start at texts 0 and 1, good until the next call; the second one has room for one more string. */
void op_lists(const struct plan_op *op, uint64_t first, uint64_t second, char ***first_out, char ***second_out) {
    if (first == 0 || first > PLAN_MAX_STRINGS || second > PLAN_MAX_STRINGS - first)
        fail(E2BIG, "plan", "list");
    *first_out = strings;
    *second_out = strings + first + 1;
    fill_list(op, 0, first, *first_out);
    fill_list(op, 1, second, *second_out);
    (*second_out)[second + 1] = NULL;
}

int get(uint16_t reg) {
    if (init.registers[reg] < 0)
        fail(EBADF, "plan", "register");
    return init.registers[reg];
}

/* Keep a descriptor; the one kept before under that name is closed. */
void put(uint16_t reg, int fd) {
    if (init.registers[reg] >= 0 && init.registers[reg] != fd)
        close(init.registers[reg]);
    init.registers[reg] = fd;
}

/* All but the fifo that failures are told through, which execve(2) closes. */
void close_all(void) {
    for (uint16_t i = 0; i < REG_COUNT; i++)
        if (init.registers[i] != init.failures)
            put(i, -1);
}
