/* Calls itself through stubs, as an interpreter does; one function has no unwind information and no frame pointer.
 *
 * The memory of the stubs is a memfd with the name that the profiler knows them by.
 */
#include "burn.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define COUNT 200
#define SIZE 64

static __thread void *head __attribute__((tls_model("initial-exec")));

typedef long evaluator(long thread, long frame, long flag);
typedef long stub(long thread, long frame, long flag, evaluator *next, uint64_t *counters);

static unsigned char *stubs;
static uint64_t counter;
static int opaque_calls, depth;

static void make_stubs(void) {
    int fd = memfd_create("pronk-stubs-00000000deadbeef", 0);
    char *thread_pointer;
    __asm__("mov %%fs:0, %0" : "=r"(thread_pointer));
    int32_t h = (char *)&head - thread_pointer;
    unsigned char code[SIZE] = {
        0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5, 0x48, 0x8d, 0x05, 0xf1, 0xff, 0xff, 0xff, 0x48, 0x31, 0xe8,
        0x50, 0x56, 0x57, 0x48, 0xc7, 0xc0, 0, 0, 0, 0, 0x64, 0xff, 0x30, 0x64, 0x48, 0x89, 0x28, 0x49, 0xff, 0x40, 0,
        0x49, 0xff, 0x80, 0, 0, 0, 0, 0xff, 0xd1, 0x64, 0x8f, 0x04, 0x25, 0, 0, 0, 0, 0x31, 0xc9, 0x48, 0x89, 0x4d, 0xf8,
        0xc9, 0xc3,
    };
    memcpy(code + 24, &h, 4);
    memcpy(code + 52, &h, 4);
    for (int i = 0; i < COUNT; i++)
        if (write(fd, code, SIZE) != SIZE) abort();
    stubs = mmap(0, COUNT * SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    if (stubs == MAP_FAILED) abort();
}

/* Calls next(a, b, c) with a frame that nobody knows of: 40 bytes, and rbp used for something else. */
long opaque(long a, long b, long c, evaluator *next);
__asm__(
    ".text\n.globl opaque\n.type opaque, @function\nopaque:\n"
    "push %rbp\npush %rbx\nmov $0x123, %ebp\nsub $24, %rsp\nmovq $0, (%rsp)\n"
    "call *%rcx\nadd $24, %rsp\npop %rbx\npop %rbp\nret\n.size opaque, .-opaque\n");

static long evaluate(long thread, long frame, long level);

__attribute__((noipa)) static long call(long level) {
    stub *next = (stub *)(stubs + level * SIZE);
    return next(1, 2, level, evaluate, &counter) + 1;
}
static long call_evaluator(long thread, long frame, long level) { return call(level) + 1; }

__attribute__((noipa)) static long evaluate(long thread, long frame, long level) {
    volatile char room[100];
    room[level % 100] = 1;
    if (level == depth) {
        burn(0.3);
        return 1;
    }
    if (opaque_calls && level % 3 == 1) return opaque(thread, frame, level + 1, call_evaluator) + room[0];
    return call(level + 1) + room[level % 100];
}

int main(int argc, char **argv) {
    depth = atoi(argv[1]);
    opaque_calls = argc > 2;
    make_stubs();
    long sum = call(0);
    return sum > 0 && head == 0 ? 0 : 1;
}
