/* The heap of the static launcher: malloc(3) and Python's arenas, from one array that is a part of the program.
 *
 * What is in the array when the image is made (image.c) is a part of the finished program; the rest has no pages before it is
 * used. There are no locks, since a command has one thread. A command is short as well: freed memory goes into lists, and only
 * what is mapped for itself goes back to the kernel.
 */
#include "heap.h"

#include <Python.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum {
    ALIGNMENT = 16,
    POOL = 16 << 10,  /* Python cuts its arenas into pools of this size, aligned to it */
    LARGE = 1 << 20,  /* bytes: larger blocks are mapped each for itself */
    CHUNK = 4 << 20,  /* bytes that are mapped when the array is full */
    SMALL_LISTS = 64, /* of blocks of 16, 32, ... 1024 bytes; above, four to a doubling up to LARGE */
    LISTS = SMALL_LISTS + 10 * 4,
};

/* A block; `next` is there while it is free, the content while it is not. */
struct block {
    size_t size; /* of the content */
    _Alignas(ALIGNMENT) struct block *next;
};

#define HEAD offsetof(struct block, next)

/* What the compiler adds to the name of the section, which would give it a content, becomes a comment of the assembler's. */
#if defined(__aarch64__)
#define COMMENT "//"
#else
#define COMMENT "#"
#endif

static _Alignas(POOL) char array[24 << 20] __attribute__((section(".heap,\"aw\",@nobits" COMMENT)));
static char *top = array, *end = array + sizeof array;
static struct block *lists[LISTS];

/* The list for blocks of a size, at most LARGE, and the size that they all have. */
static unsigned list_of(size_t *size) {
    if (*size <= ALIGNMENT * SMALL_LISTS) {
        unsigned count = *size ? (unsigned)((*size + ALIGNMENT - 1) / ALIGNMENT) : 1;
        *size = count * ALIGNMENT;
        return count - 1;
    }
    unsigned doubling = 63 - (unsigned)__builtin_clzl(*size - 1); /* 2^doubling < size <= 2^(doubling + 1) */
    size_t base = (size_t)1 << doubling, step = base / 4;
    unsigned steps = (unsigned)((*size - base + step - 1) / step);
    *size = base + steps * step;
    return SMALL_LISTS + (doubling - 10) * 4 + steps - 1;
}

static void *map(size_t size) {
    void *found = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return found == MAP_FAILED ? NULL : found;
}

/* Takes at most LARGE + HEAD bytes from the unused end of the array, or of the chunk that followed it. */
static void *carve(size_t size) {
    if ((size_t)(end - top) < size) {
        char *chunk = map(CHUNK);
        if (!chunk)
            return NULL;
        top = chunk;
        end = chunk + CHUNK;
    }
    void *found = top;
    top += size;
    return found;
}

static struct block *block_of(void *content) {
    return (struct block *)((char *)content - HEAD);
}

/* malloc; under a name from which the compiler concludes nothing. */
static void *take(size_t size) {
    struct block *block = NULL;
    if (size > LARGE) {
        block = size < PTRDIFF_MAX - HEAD ? map(HEAD + size) : NULL;
    } else {
        unsigned list = list_of(&size);
        block = lists[list];
        if (block)
            lists[list] = block->next;
        else
            block = carve(HEAD + size);
    }
    if (!block) {
        errno = ENOMEM;
        return NULL;
    }
    block->size = size;
    return (char *)block + HEAD;
}

void *malloc(size_t size) {
    return take(size);
}

void free(void *content) {
    if (!content)
        return;
    struct block *block = block_of(content);
    size_t size = block->size;
    if (size > LARGE) {
        munmap(block, HEAD + size);
        return;
    }
    unsigned list = list_of(&size);
    block->next = lists[list];
    lists[list] = block;
}

void *calloc(size_t count, size_t each) {
    size_t size;
    if (__builtin_mul_overflow(count, each, &size))
        size = SIZE_MAX;
    void *content = take(size);
    if (content && size <= LARGE)
        memset(content, 0, size);
    return content;
}

void *realloc(void *content, size_t size) {
    if (!content)
        return take(size);
    struct block *block = block_of(content);
    size_t had = block->size;
    if (size <= had && had <= LARGE)
        return content;
    if (size > LARGE && had > LARGE) {
        block = size < PTRDIFF_MAX - HEAD ? mremap(block, HEAD + had, HEAD + size, MREMAP_MAYMOVE) : MAP_FAILED;
        if (block == MAP_FAILED)
            return NULL;
        block->size = size;
        return (char *)block + HEAD;
    }
    if (content == (void *)(top - had) && size <= LARGE) { /* the last one grows where it is */
        list_of(&size);
        if ((size_t)(end - top) >= size - had) {
            top += size - had;
            block->size = size;
            return content;
        }
    }
    void *larger = take(size);
    if (larger) {
        memcpy(larger, content, had < size ? had : size);
        free(content);
    }
    return larger;
}

/* No caller here wants more alignment than malloc gives; one that does must not get less. */
void *aligned_alloc(size_t alignment, size_t size) {
    if (alignment > ALIGNMENT) {
        errno = EINVAL;
        return NULL;
    }
    return take(size);
}

static void *take_arena(void *context, size_t size) {
    (void)context;
    char *start = (char *)(((uintptr_t)top + POOL - 1) & ~(uintptr_t)(POOL - 1));
    if (end - array > (ptrdiff_t)sizeof array || end < start || (size_t)(end - start) < size)
        return map(size);
    top = start + size;
    return start;
}

static void give_arena_back(void *context, void *arena, size_t size) {
    (void)context;
    if ((char *)arena < array || (char *)arena >= array + sizeof array)
        munmap(arena, size);
}

void pyoci_heap_for_python(void) {
    PyObjectArenaAllocator arenas = {NULL, take_arena, give_arena_back};
    PyObject_SetArenaAllocator(&arenas);
}
