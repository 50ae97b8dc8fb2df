/* Recurses until the stack is longer than what a sample can copy. */
#include "burn.h"

__attribute__((noipa)) static int descend(int depth) {
    volatile char room[2000];
    room[depth] = 1;
    if (depth == 0) {
        burn(0.3);
        return 0;
    }
    return descend(depth - 1) + room[depth];
}
int main(void) { return descend(100) > 0 ? 0 : 1; }
