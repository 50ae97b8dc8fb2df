/* Counts from where CPython's frame evaluator is called.
 *
 * This library is preloaded behind the agent. It sets a frame evaluator (PEP 523) of its own before the agent sets its
 * hook, so the agent finds it and must chain to it:
 *
 *     hook -> stub -> counting_evaluator -> _PyEval_EvalFrameDefault
 *
 * The return address of counting_evaluator then says which stub a frame came through, or that it came through none.
 * At exit the counts are written to the file that the environment variable COUNTS names, one per line:
 *
 *     unhooked COUNT      while counting_evaluator was the outermost evaluator: before the hook was set, or after
 *     lost COUNT          calls for which the table had no room
 *     ADDRESS COUNT       calls with this return address, in hexadecimal
 *
 * It needs no headers of CPython's and works with every version: an evaluator has got three arguments since 3.9, the
 * first two pointers and the third an int.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *evaluator(void *thread, void *frame, int throwing);

/* struct _inittab of Include/import.h (3.9 - 3.11) and Include/cpython/import.h (3.12 on). */
struct builtin_module {
    const char *name;
    void *(*initialize)(void);
};

#define SLOTS (1u << 16)

static struct {
    uintptr_t address;
    uint64_t count;
} table[SLOTS];
static uint64_t unhooked, lost;

static evaluator *default_evaluator;
static void *(*current_interpreter)(void), *(*first_interpreter)(void), *(*next_interpreter)(void *);
static evaluator *(*get_evaluator)(void *interpreter);
static void (*set_evaluator)(void *interpreter, evaluator *);
static void *(*initialize_warnings)(void);

static void add(uint64_t *count) { __atomic_fetch_add(count, 1, __ATOMIC_RELAXED); }

/* Open addressing, linear probing. An address is written once and never taken out, so threads need no lock. */
static void count_call_from(uintptr_t address) {
    uint32_t slot = (uint32_t)((address * 0x9e3779b97f4a7c15u) >> 48);
    for (uint32_t probe = 0; probe < SLOTS; probe++, slot = (slot + 1) % SLOTS) {
        uintptr_t found = 0;
        if (__atomic_compare_exchange_n(&table[slot].address, &found, address, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
            found == address) {
            add(&table[slot].count);
            return;
        }
    }
    add(&lost);
}

__attribute__((noinline)) static void *counting_evaluator(void *thread, void *frame, int throwing) {
    if (get_evaluator(current_interpreter()) == counting_evaluator)
        add(&unhooked);
    else
        count_call_from((uintptr_t)__builtin_return_address(0));
    return default_evaluator(thread, frame, throwing);
}

/* `_warnings` is initialized once for every interpreter, right before `_weakref`, with which the agent begins
 * (Lib/importlib/_bootstrap.py, _setup, 3.9 - 3.15). From 3.13 on the initializer of a subinterpreter's module runs
 * while the main interpreter is the current one (Python/import.c, import_run_extension), so the interpreter that is
 * meant is whichever has no evaluator of ours yet. */
static void *initialize_warnings_and_count(void) {
    for (void *interpreter = first_interpreter(); interpreter; interpreter = next_interpreter(interpreter))
        if (get_evaluator(interpreter) == default_evaluator)
            set_evaluator(interpreter, counting_evaluator);
    return initialize_warnings();
}

__attribute__((constructor)) static void wrap_initializer(void) {
    struct builtin_module **modules = dlsym(RTLD_DEFAULT, "PyImport_Inittab");
    default_evaluator = (evaluator *)dlsym(RTLD_DEFAULT, "_PyEval_EvalFrameDefault");
    current_interpreter = (void *(*)(void))dlsym(RTLD_DEFAULT, "PyInterpreterState_Get");
    first_interpreter = (void *(*)(void))dlsym(RTLD_DEFAULT, "PyInterpreterState_Head");
    next_interpreter = (void *(*)(void *))dlsym(RTLD_DEFAULT, "PyInterpreterState_Next");
    get_evaluator = (evaluator * (*)(void *)) dlsym(RTLD_DEFAULT, "_PyInterpreterState_GetEvalFrameFunc");
    set_evaluator = (void (*)(void *, evaluator *))dlsym(RTLD_DEFAULT, "_PyInterpreterState_SetEvalFrameFunc");
    if (!modules)
        return; /* Not CPython. */
    if (!default_evaluator || !current_interpreter || !first_interpreter || !next_interpreter || !get_evaluator ||
        !set_evaluator)
        abort();
    size_t length = 0;
    while ((*modules)[length].name)
        length++;
    struct builtin_module *copy = malloc((length + 1) * sizeof *copy);
    if (!copy)
        abort();
    memcpy(copy, *modules, (length + 1) * sizeof *copy);
    for (size_t i = 0; i < length; i++) {
        if (strcmp(copy[i].name, "_warnings") == 0) {
            initialize_warnings = copy[i].initialize;
            copy[i].initialize = initialize_warnings_and_count;
        }
    }
    *modules = copy;
}

__attribute__((destructor)) static void write_counts(void) {
    const char *path = getenv("COUNTS");
    if (!path || !initialize_warnings)
        return;
    FILE *file = fopen(path, "w");
    if (!file)
        abort();
    fprintf(file, "unhooked %" PRIu64 "\nlost %" PRIu64 "\n", unhooked, lost);
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (table[slot].count)
            fprintf(file, "%" PRIxPTR " %" PRIu64 "\n", table[slot].address, table[slot].count);
    if (fclose(file) != 0)
        abort();
}
