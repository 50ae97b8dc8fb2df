/* Uses the processor for a while, by the thread's own clock. */
#include <time.h>

static inline double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static volatile unsigned long work;

__attribute__((noipa, unused)) static void burn(double seconds) {
    double end = cpu_seconds() + seconds;
    do {
        for (int i = 0; i < 20000; i++) work = work * 3 + i;
    } while (cpu_seconds() < end);
}
