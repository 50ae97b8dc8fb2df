/* Sets an evaluator over the one that is there, and looks for stub records on the stack.
 *
 * The functions are called through ctypes.PyDLL, which holds the interpreter's lock. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef void *(*evaluator)(void *thread, void *frame, int throwflag);

static evaluator below;
static unsigned long calls;

static void *function(const char *name) { return dlsym(RTLD_DEFAULT, name); }

static void *interpreter(void) { return ((void *(*)(void))function("PyInterpreterState_Get"))(); }

static evaluator get(void)
{
    return ((evaluator(*)(void *))function("_PyInterpreterState_GetEvalFrameFunc"))(interpreter());
}

static void set(evaluator to)
{
    ((void (*)(void *, evaluator))function("_PyInterpreterState_SetEvalFrameFunc"))(interpreter(), to);
}

static void *over(void *thread, void *frame, int throwflag)
{
    calls++;
    return below(thread, frame, throwflag);
}

void set_over(void)
{
    below = get();
    set(over);
}

void restore_below(void) { set(below); }

unsigned long calls_of_over(void) { return calls; }

/* Whether the default evaluator is set, which is how CPython says that there is no hook. */
int no_hook(void) { return (void *)get() == function("_PyEval_EvalFrameDefault"); }

/* How many live stub records there are on this thread's stack: words that name a stub of ours when combined with the
 * address above them (trampolines/src/stub/record.rs). */
int stubs_on_stack(void)
{
    uintptr_t starts[64], ends[64];
    int ranges = 0, found = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        if (strstr(line, "pronk-stubs-") && ranges < 64 && sscanf(line, "%lx-%lx", &starts[ranges], &ends[ranges]) == 2)
            ranges++;
    fclose(maps);

    pthread_attr_t attributes;
    void *low;
    size_t size;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);

    uintptr_t *top = (uintptr_t *)((char *)low + size);
    for (uintptr_t *word = (uintptr_t *)__builtin_frame_address(0); word + 1 < top; word++) {
        uintptr_t stub = *word ^ (uintptr_t)(word + 1);
        for (int i = 0; i < ranges; i++)
            if (stub >= starts[i] && stub < ends[i] && (stub - starts[i]) % 64 == 0)
                found++;
    }
    return found;
}
