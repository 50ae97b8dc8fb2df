/* main calls outer, middle, inner and burn, in the thread that its argument says. */
#include "burn.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noipa)) static int inner(double seconds, int n) {
    burn(seconds);
    return n + 1;
}
__attribute__((noipa)) static int middle(double seconds, int n) {
    volatile char room[300];
    room[n] = 1;
    return inner(seconds, n) + room[n];
}
__attribute__((noipa)) static int outer(double seconds, int n) {
    return middle(seconds, n + 1) * 2;
}
static void *thread(void *name) {
    pthread_setname_np(pthread_self(), name);
    outer(0.2, 0);
    return 0;
}
int main(int argc, char **argv) {
    pthread_t threads[2];
    pthread_create(&threads[0], 0, thread, "first");
    pthread_create(&threads[1], 0, thread, "second");
    outer(0.3, argc);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], 0);
    return 3;
}
