/* System calls that touch nothing but registers: for code that shares its memory, errno included, with another process. */
#ifndef PYOCI_RAW_H
#define PYOCI_RAW_H

#include <linux/sched.h>
#include <stddef.h>

#if defined(__x86_64__)

static inline long raw5(long number, long a, long b, long c, long d, long e) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

/* clone3(2) with a stack of its own: the child calls function(argument) and never returns. */
static inline long raw_clone3(struct clone_args *arguments, size_t size, int (*function)(void *), void *argument) {
    register int (*r8)(void *) __asm__("r8") = function;
    register void *r9 __asm__("r9") = argument;
    long result;

    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r9, %%rdi\n\t"
                     "call *%%r8\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(result)
                     : "0"(435L), "D"(arguments), "S"(size), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined(__aarch64__)

static inline long raw5(long number, long a, long b, long c, long d, long e) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;

    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}

static inline long raw_clone3(struct clone_args *arguments, size_t size, int (*function)(void *), void *argument) {
    register long x8 __asm__("x8") = 435;
    register long x0 __asm__("x0") = (long)arguments;
    register long x1 __asm__("x1") = (long)size;
    register long x9 __asm__("x9") = (long)function;
    register long x10 __asm__("x10") = (long)argument;

    __asm__ volatile("svc 0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "mov x0, x10\n\t"
                     "blr x9\n\t"
                     "brk 1\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x9), "r"(x10)
                     : "memory");
    return x0;
}

#else
#error "pyoci runs on x86_64 and aarch64"
#endif

static inline long raw3(long number, long a, long b, long c) {
    return raw5(number, a, b, c, 0, 0);
}

static inline long raw2(long number, long a, long b) {
    return raw5(number, a, b, 0, 0, 0);
}

#endif
