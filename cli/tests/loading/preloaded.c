// A library that was preloaded before: it says so, and which libraries are.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((constructor)) static void say(void) {
    const char *preload = getenv("LD_PRELOAD");
    const char *last = strrchr(preload, ':');
    printf("preloaded %s\n", last ? last + 1 : preload);
    fflush(stdout);
}
