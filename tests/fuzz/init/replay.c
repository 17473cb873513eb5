/* Runs inputs without libFuzzer, with any compiler: those of files, or random changes of them.
 *
 *     replay FILE...                       how the init ends on each
 *     replay -random SEED COUNT FILE...    COUNT changed inputs, made out of the files
 */
#include "kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 20 };

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed);

static unsigned state;

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most) {
    if (size < most && rand_r(&state) % 4 == 0)
        data[size++] = (uint8_t)rand_r(&state);
    else if (size && rand_r(&state) % 8 == 0)
        size -= (size_t)rand_r(&state) % size;
    if (size)
        data[(size_t)rand_r(&state) % size] = (uint8_t)rand_r(&state);
    return size;
}

/* The input in memory of its own size: a byte too far shows. */
static const char *run(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    const char *verdict;

    memcpy(copy, data, size);
    verdict = run_init(copy, size);
    free(copy);
    return verdict;
}

static size_t load(const char *path, uint8_t *data) {
    FILE *file = fopen(path, "rb");
    size_t size;

    if (!file) {
        perror(path);
        exit(2);
    }
    size = fread(data, 1, MOST, file);
    fclose(file);
    return size;
}

/* The last input stays in `last-input` when the process ends on it. */
static void keep(const uint8_t *data, size_t size) {
    FILE *file = fopen("last-input", "wb");

    if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0) {
        perror("last-input");
        exit(2);
    }
}

static void run_random(long count, int files, char **paths) {
    static uint8_t data[MOST];
    long executed = 0;

    for (long i = 0; i < count; i++) {
        size_t size = load(paths[(unsigned)rand_r(&state) % (unsigned)files], data);
        for (int k = 0; k <= rand_r(&state) % 4; k++)
            size = LLVMFuzzerCustomMutator(data, size, MOST, (unsigned)rand_r(&state));
        keep(data, size);
        executed += strcmp(run(data, size), "executed") == 0;
    }
    remove("last-input");
    printf("%ld of %ld executed their program\n", executed, count);
}

int main(int argc, char **argv) {
    static uint8_t data[MOST];

    if (argc > 4 && strcmp(argv[1], "-random") == 0) {
        state = (unsigned)strtoul(argv[2], NULL, 10);
        run_random(strtol(argv[3], NULL, 10), argc - 4, argv + 4);
        return 0;
    }
    for (int i = 1; i < argc; i++)
        printf("%s\n", run(data, load(argv[i], data)));
    return 0;
}
