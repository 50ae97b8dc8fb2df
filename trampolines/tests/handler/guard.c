/* Stands between the agent's signal handler and what a handler must not do.
 *
 * It is preloaded behind the agent. It wraps the handler that the agent installs, and ends the program when that allocates
 * or frees memory, takes a lock, gives the processor away, calls into CPython, or leaves errno changed. On exit it writes how
 * often the handler ran to the file that GUARD_REPORT names.
 *
 * Everything that the agent knows of CPython it finds by dlsym, so functions of CPython that are defined here are what it
 * finds. Py_IsInitialized and PyThreadState_GetUnchecked (_PyThreadState_UncheckedGet) read one variable each, and are not
 * among them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static __thread volatile int in_handler __attribute__((tls_model("initial-exec")));
static atomic_long runs;

static void trap(const char *name) {
    if (in_handler) {
        static const char message[] = "guard: the handler called ";
        (void)!write(2, message, sizeof message - 1);
        (void)!write(2, name, strlen(name));
        (void)!write(2, "\n", 1);
        _exit(99);
    }
}

/* A function that is trapped and handed on, with as many words as any of them takes. */
#define GUARD(name)                                                                                                 \
    long name(long a, long b, long c, long d, long e, long f) {                                                     \
        static long (*next)(long, long, long, long, long, long);                                                    \
        trap(#name);                                                                                                \
        if (!next) next = (long (*)(long, long, long, long, long, long))dlsym(RTLD_NEXT, #name);                     \
        return next(a, b, c, d, e, f);                                                                              \
    }

#pragma GCC diagnostic ignored "-Wbuiltin-declaration-mismatch"

/* glibc's allocator by its other names: dlsym allocates before malloc could be found by it. */
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void __libc_free(void *);
void *malloc(size_t size) { trap("malloc"); return __libc_malloc(size); }
void *calloc(size_t count, size_t size) { trap("calloc"); return __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { trap("realloc"); return __libc_realloc(old, size); }
void free(void *old) { trap("free"); __libc_free(old); }

static void lock_trap(const char *name) { trap(name); }
#define GUARD_LOCK(name, type)                                                                                      \
    int name(type *lock) {                                                                                          \
        static int (*next)(type *);                                                                                 \
        lock_trap(#name);                                                                                           \
        if (!next) next = (int (*)(type *))dlsym(RTLD_NEXT, #name);                                                 \
        return next(lock);                                                                                          \
    }
GUARD_LOCK(pthread_mutex_lock, pthread_mutex_t)
GUARD_LOCK(pthread_mutex_trylock, pthread_mutex_t)
GUARD_LOCK(pthread_rwlock_rdlock, pthread_rwlock_t)
GUARD_LOCK(pthread_rwlock_wrlock, pthread_rwlock_t)
GUARD_LOCK(sem_wait, sem_t)
int sched_yield(void) { trap("sched_yield"); return usleep(0); }

GUARD(PyThreadState_Get)
GUARD(PyInterpreterState_Get)
GUARD(PyEval_SaveThread)
GUARD(PyEval_RestoreThread)
GUARD(PyObject_GetAttrString)
GUARD(PyDict_Next)
GUARD(PyUnicode_AsUTF8AndSize)
GUARD(PyUnicode_CompareWithASCIIString)
GUARD(PyUnicode_GetLength)
GUARD(PyUnicode_ReadChar)
GUARD(PyBytes_AsStringAndSize)
GUARD(PyTuple_Size)
GUARD(PyTuple_GetItem)
GUARD(PyLong_AsSsize_t)
GUARD(Py_DecRef)
GUARD(PyErr_Occurred)
GUARD(PyErr_Clear)
GUARD(PyErr_Fetch)
GUARD(PyErr_Restore)
GUARD(PyCode_NewEmpty)
GUARD(_PyInterpreterState_SetEvalFrameFunc)

static void (*handler)(int, siginfo_t *, void *);

static void guarded(int signal, siginfo_t *info, void *context) {
    int programs = errno;
    in_handler = 1;
    errno = 12345;
    handler(signal, info, context);
    if (errno != 12345) trap("something that changes errno");
    in_handler = 0;
    errno = programs;
    atomic_fetch_add(&runs, 1);
}

int sigaction(int signal, const struct sigaction *new, struct sigaction *old) {
    static int (*next)(int, const struct sigaction *, struct sigaction *);
    struct sigaction wrapped;
    if (!next) next = (int (*)(int, const struct sigaction *, struct sigaction *))dlsym(RTLD_NEXT, "sigaction");
    if (signal == SIGURG && new && !handler) {
        wrapped = *new;
        handler = new->sa_sigaction;
        wrapped.sa_sigaction = guarded;
        new = &wrapped;
    }
    return next(signal, new, old);
}

__attribute__((destructor)) static void report(void) {
    const char *path = getenv("GUARD_REPORT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%ld\n", atomic_load(&runs));
        fclose(file);
    }
}
