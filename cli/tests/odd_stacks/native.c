/* What odd.py calls: a callback, and threads that are none of Python's. */
#include <pthread.h>
#include <time.h>

int call_back(int (*callback)(int), int number) {
    return callback(number);
}

static double cpu_time(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

__attribute__((noinline)) int native_burn(int milliseconds) {
    volatile unsigned sum = 0;
    double end = cpu_time() + milliseconds * 1e-3;
    while (cpu_time() < end)
        for (int i = 0; i < 1000; i++) sum += i;
    return 1;
}

static void *burner(void *milliseconds) {
    native_burn(*(int *)milliseconds);
    return milliseconds;
}

int native_thread(int milliseconds) {
    pthread_t thread;
    pthread_create(&thread, 0, burner, &milliseconds);
    pthread_join(thread, 0);
    return milliseconds;
}

static void *visitor(void *callback) {
    return (void *)(long)((int (*)(int))callback)(4);
}

int visiting_thread(int (*callback)(int)) {
    void *result;
    pthread_t thread;
    pthread_create(&thread, 0, visitor, (void *)callback);
    pthread_join(thread, &result);
    return (int)(long)result;
}
