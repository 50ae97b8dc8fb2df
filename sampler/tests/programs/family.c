/* Forks a child that burns, which executes this program again, which burns as well. */
#include "burn.h"
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noipa)) static int in_parent(void) { burn(0.2); return 1; }
__attribute__((noipa)) static int in_child(void) { burn(0.2); return 1; }
__attribute__((noipa)) static int in_exec(void) { burn(0.2); return 1; }

int main(int argc, char **argv) {
    if (argc > 1) return !in_exec();
    pid_t child = fork();
    if (child == 0) {
        in_child();
        execl(argv[0], "again", "again", (char *)0);
        _exit(9);
    }
    in_parent();
    int status;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}
