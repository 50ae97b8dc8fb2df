/* Code that is hard to unwind: a function that realigns its stack, and a signal handler. */
#include "burn.h"
#include <signal.h>
#include <unistd.h>

typedef struct { char bytes[64]; } __attribute__((aligned(64))) wide;
static volatile wide sink;

__attribute__((noipa)) static void realigned(int n, ...) {
    volatile wide local;
    volatile char room[n + 16];
    local.bytes[3] = room[n] = n;
    __builtin_va_list list;
    __builtin_va_start(list, n);
    burn(0.2);
    __builtin_va_end(list);
    sink.bytes[3] = local.bytes[3] + room[n];
}
__attribute__((noipa)) static int above(int n) {
    realigned(n, 1, 2, 3);
    return n * 2;
}
static void handler(int signal) { burn(0.2); }
__attribute__((noipa)) static int interrupted(int n) {
    raise(SIGUSR1);
    return n * 3;
}
int main(int argc, char **argv) {
    signal(SIGUSR1, handler);
    return above(argc) + interrupted(argc) == 5 ? 0 : 1;
}
