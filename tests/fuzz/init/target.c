/* The fuzzing target, and a mutator that knows what a plan is: random bytes rarely get past the header. */
#include "kernel.h"

#include "ops.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    run_init(data, size);
    return 0;
}

static const uint64_t odd_numbers[] = {0,
                                       1,
                                       2,
                                       3,
                                       7,
                                       8,
                                       16,
                                       17,
                                       255,
                                       256,
                                       1024,
                                       1025,
                                       4095,
                                       4096,
                                       4097,
                                       65535,
                                       65536,
                                       PLAN_MAX_OPS,
                                       PLAN_MAX_SIZE,
                                       PLAN_MAX_STRINGS,
                                       PLAN_MAX_STRINGS + 1,
                                       0x7fffffff,
                                       0x80000000,
                                       0xffffffff,
                                       0x100000000,
                                       0x200000001,
                                       0x3fffffffffffffff,
                                       0x4000000000000001,
                                       0x7fffffffffffffff,
                                       0x8000000000000000,
                                       0xffffffffffffffff};

static uint64_t odd_number(unsigned *seed) {
    uint64_t number = odd_numbers[(unsigned)rand_r(seed) % (sizeof(odd_numbers) / sizeof(*odd_numbers))];

    return rand_r(seed) % 4 ? number : number + (uint64_t)(rand_r(seed) % 5) - 2;
}

/* A place in the text, which is seldom longer than this. */
static uint64_t odd_place(unsigned *seed) {
    return rand_r(seed) % 4 ? (uint64_t)rand_r(seed) % 4096 : odd_number(seed);
}

static void odd_part(uint64_t *place, uint64_t *count, unsigned *seed) {
    if (rand_r(seed) % 2)
        *place = odd_place(seed);
    else
        *count = rand_r(seed) % 2 ? (uint64_t)rand_r(seed) % 16 : odd_number(seed);
}

/* change_NAME: one field becomes odd, the one at `which`. */
#define OP(name, error, fields)                                                                                             \
    static void change_##name(void *place, int which, unsigned *seed) {                                                     \
        struct op_##name *op = place;                                                                                       \
        (void)op, (void)which, (void)seed;                                                                                  \
        fields                                                                                                              \
    }
#define WHEN_CHOSEN if (which-- == 0)
#define STR(f)      WHEN_CHOSEN op->f = odd_place(seed);
#define LIST(f)     WHEN_CHOSEN odd_part(&op->f.first, &op->f.count, seed);
#define BYTES(f)    WHEN_CHOSEN odd_part(&op->f.data, &op->f.size, seed);
#define IDS(f)      WHEN_CHOSEN odd_part(&op->f.list, &op->f.count, seed);
#define FILTER(f)   WHEN_CHOSEN odd_part(&op->f.list, &op->f.count, seed);
#define FD(f)       WHEN_CHOSEN op->f = (uint16_t)(rand_r(seed) % 8 ? rand_r(seed) % 20 : (int)odd_number(seed));
#define ENUM(f, of) WHEN_CHOSEN op->f = (uint16_t)(rand_r(seed) % (of##_COUNT + 1));
#define FLAG(f)     WHEN_CHOSEN op->f = (uint8_t)(rand_r(seed) % 8 ? !op->f : rand_r(seed));
#define U32(f)      WHEN_CHOSEN op->f = (uint32_t)odd_number(seed);
#define I32(f)      WHEN_CHOSEN op->f = (int32_t)odd_number(seed);
#define U64(f)      WHEN_CHOSEN op->f = odd_number(seed);
#include "ops.def"

static const struct {
    size_t size;
    void (*change)(void *, int, unsigned *);
} ops[OP_COUNT] = {
#define OP(name, error, fields) [OP_##name] = {sizeof(struct op_##name), change_##name},
#include "ops.def"
};

static uint16_t code_of(const uint8_t *op) {
    uint16_t code;

    memcpy(&code, op, sizeof(code));
    return code < OP_COUNT ? code : OP_NONE;
}

/* The place of op number `index`, which may be their count: the text. NULL where the ops are none. */
static uint8_t *find_op(uint8_t *ops_start, const uint8_t *end, uint32_t index) {
    uint8_t *op = ops_start;

    for (; index > 0; index--) {
        size_t size = end - op < 8 ? 0 : ops[code_of(op)].size;
        if (size == 0 || size > (size_t)(end - op))
            return NULL;
        op += size;
    }
    return op;
}

/* Put another op in the place of one, by its number or as a copy of it; what follows makes room. */
static size_t replace_op(uint8_t *data, size_t size, size_t most, uint8_t *op, const uint8_t *other) {
    uint8_t copy[256];
    size_t old = ops[code_of(op)].size, new = ops[code_of(other)].size;

    if (size + new - old > most)
        return size;
    memcpy(copy, other, new);
    memmove(op + new, op + old, (size_t)(data + size - op) - old);
    memcpy(op, copy, new);
    return size + new - old;
}

/* Change a field of an op, or put one in the place of another. */
static size_t change_op(uint8_t *data, size_t size, size_t most, uint8_t *ops_start, uint32_t count, unsigned *seed) {
    uint8_t *op = find_op(ops_start, data + size, (uint32_t)rand_r(seed) % count);
    uint8_t *other = find_op(ops_start, data + size, (uint32_t)rand_r(seed) % count);
    uint64_t aligned[32];

    if (!op || !other || find_op(op, data + size, 1) == NULL || find_op(other, data + size, 1) == NULL)
        return size;
    if (rand_r(seed) % 6 == 0)
        return replace_op(data, size, most, op, other);
    memcpy(aligned, op, ops[code_of(op)].size);
    if (rand_r(seed) % 16 == 0)
        *(uint16_t *)aligned = (uint16_t)(rand_r(seed) % (OP_COUNT + 1));
    else
        ops[code_of(op)].change(aligned, rand_r(seed) % 6, seed);
    memcpy(op, aligned, ops[code_of(op)].size);
    return size;
}

/* Change the answers, a text, or an op of the first plan, and leave the rest such that it is still a plan. */
static size_t change_parts(uint8_t *data, size_t size, size_t most, unsigned *seed) {
    struct plan_header header;
    uint16_t answers;
    size_t start, before = size;
    uint8_t *text;

    memcpy(&answers, data, sizeof(answers));
    start = sizeof(answers) + answers;
    if (start > size)
        return size;
    if (answers && rand_r(seed) % 3 == 0)
        data[sizeof(answers) + (unsigned)rand_r(seed) % answers] = (uint8_t)rand_r(seed);
    if (start + sizeof(header) > size)
        return size;
    memcpy(&header, data + start, sizeof(header));
    if (header.count == 0 || header.count > PLAN_MAX_OPS)
        return size;
    text = find_op(data + start + sizeof(header), data + size, header.count);
    if (!text || text >= data + size)
        return size;
    if (rand_r(seed) % 4)
        size = change_op(data, size, most, data + start + sizeof(header), header.count, seed);
    else
        text[(size_t)rand_r(seed) % (size_t)(data + size - text)] = (uint8_t)rand_r(seed);
    header.size += (uint32_t)(size - before);
    memcpy(data + start, &header, sizeof(header));
    return size;
}

/* More answers in front: they shift what is there, so the count goes along. */
static size_t add_answers(uint8_t *data, size_t size, size_t most, unsigned *seed) {
    uint16_t answers, more = (uint16_t)(1 + rand_r(seed) % 16);

    memcpy(&answers, data, sizeof(answers));
    if (answers > 2000 || size + more > most)
        return size;
    memmove(data + sizeof(answers) + more, data + sizeof(answers), size - sizeof(answers));
    for (uint16_t i = 0; i < more; i++)
        data[sizeof(answers) + i] = rand_r(seed) % 3 ? 0 : (uint8_t)rand_r(seed);
    answers = (uint16_t)(answers + more);
    memcpy(data, &answers, sizeof(answers));
    return size + more;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    unsigned how = (unsigned)rand_r(&seed) % 10;

    if (size < sizeof(uint16_t) || how == 0)
        return LLVMFuzzerMutate(data, size, most);
    if (how < 3)
        return add_answers(data, size, most, &seed);
    for (int i = 0; i < 1 + rand_r(&seed) % 4; i++)
        size = change_parts(data, size, most, &seed);
    return size;
}
