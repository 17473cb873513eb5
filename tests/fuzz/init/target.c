/* The fuzzing target, and a mutator that knows what a plan is: random bytes rarely get past the header. */
#include "kernel.h"

#include "plan.h"

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

/* Change one member of one op, or put an op's copy in the place of another. */
static void change_op(uint8_t *ops, uint32_t count, unsigned *seed) {
    struct plan_op op;
    uint8_t *place = ops + (uint32_t)rand_r(seed) % count * sizeof(op);

    memcpy(&op, place, sizeof(op));
    switch (rand_r(seed) % 8) {
    case 0:
        op.code = (uint16_t)(rand_r(seed) % (OP_COUNT + 1));
        break;
    case 1:
        op.flags = (uint16_t)(1 << rand_r(seed) % 8);
        break;
    case 2:
        op.fd = (uint16_t)(rand_r(seed) % 20);
        break;
    case 3:
        op.fd2 = (uint16_t)(rand_r(seed) % 20);
        break;
    case 4:
        op.texts[rand_r(seed) % PLAN_TEXTS] = (uint32_t)rand_r(seed) % 4096;
        break;
    case 5:
        memcpy(&op, ops + (uint32_t)rand_r(seed) % count * sizeof(op), sizeof(op));
        break;
    default:
        op.numbers[rand_r(seed) % PLAN_NUMBERS] = odd_number(seed);
    }
    memcpy(place, &op, sizeof(op));
}

/* Change the answers, a text, or an op of the first plan, and leave the rest such that it is still a plan. */
static size_t change_parts(uint8_t *data, size_t size, unsigned *seed) {
    struct plan_header header;
    uint16_t answers;
    size_t start, fixed;

    memcpy(&answers, data, sizeof(answers));
    start = sizeof(answers) + answers;
    if (start > size)
        return size;
    if (answers && rand_r(seed) % 3 == 0)
        data[sizeof(answers) + (unsigned)rand_r(seed) % answers] = (uint8_t)rand_r(seed);
    if (start + sizeof(header) > size)
        return size;
    memcpy(&header, data + start, sizeof(header));
    fixed = sizeof(header) + (size_t)header.count * sizeof(struct plan_op);
    if (header.count == 0 || header.count > PLAN_MAX_OPS || start + fixed >= size)
        return size;
    if (rand_r(seed) % 4)
        change_op(data + start + sizeof(header), header.count, seed);
    else
        data[start + fixed + (size_t)rand_r(seed) % (size - start - fixed)] = (uint8_t)rand_r(seed);
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
        size = change_parts(data, size, &seed);
    return size;
}
