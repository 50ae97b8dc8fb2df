/* Code that is hard to unwind: a function that realigns its stack, one that finds its frame by another register than
   the stack and frame pointers, one that keeps its return address in a register, and a signal handler. */
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
__attribute__((noipa, used)) static void called_by_rbx(void) { burn(0.2); }
void by_rbx(void);
void in_rdi(long rounds);
__asm__(
    ".pushsection .text\n"
    ".type by_rbx, @function\n"
    "by_rbx: .cfi_startproc\n"
    "push %rbx\n .cfi_adjust_cfa_offset 8\n .cfi_rel_offset rbx, 0\n"
    "mov %rsp, %rbx\n .cfi_def_cfa_register rbx\n"
    "and $-64, %rsp\n"
    "sub $128, %rsp\n"
    "call called_by_rbx\n"
    "mov %rbx, %rsp\n .cfi_def_cfa_register rsp\n"
    "pop %rbx\n .cfi_adjust_cfa_offset -8\n .cfi_restore rbx\n"
    "ret\n .cfi_endproc\n .size by_rbx, . - by_rbx\n"
    ".type in_rdi, @function\n"
    "in_rdi: .cfi_startproc\n"
    "mov %rdi, %rsi\n"
    "pop %rdi\n .cfi_adjust_cfa_offset -8\n .cfi_register rip, rdi\n"
    "0: dec %rsi\n"
    "jnz 0b\n"
    "push %rdi\n .cfi_adjust_cfa_offset 8\n .cfi_offset rip, -8\n"
    "ret\n .cfi_endproc\n .size in_rdi, . - in_rdi\n"
    ".popsection\n");
__attribute__((noipa)) static int around(int n) {
    by_rbx();
    in_rdi(400000000);
    return n - 1;
}
int main(int argc, char **argv) {
    signal(SIGUSR1, handler);
    return above(argc) + interrupted(argc) + around(argc) == 5 ? 0 : 1;
}
