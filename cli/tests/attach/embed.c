/* A server in C that embeds Python: threads of its own call Python functions, in two interpreters. */

#include <Python.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static void run(const char *what) {
    if (PyRun_SimpleString(what) != 0) {
        _exit(1);
    }
}

static void *work(void *unused) {
    (void)unused;
    for (;;) {
        PyGILState_STATE state = PyGILState_Ensure();
        run("embedded(20000)");
        PyGILState_Release(state);
        usleep(1000);
    }
    return NULL;
}

static void *wait_in_c(void *unused) {
    (void)unused;
    pause();
    return NULL;
}

int main(void) {
    Py_Initialize();
    run("def embedded(n):\n    x = 0\n    for i in range(n):\n        x = (x * 73 + i) & 0xFFFFF\n");
    PyThreadState *main_state = PyThreadState_Get();
    PyThreadState *other = Py_NewInterpreter();
    if (other == NULL) {
        return 1;
    }
    run("x = 1");
    PyThreadState_Swap(main_state);
    pthread_t threads[3];
    pthread_create(&threads[0], NULL, work, NULL);
    pthread_create(&threads[1], NULL, work, NULL);
    pthread_create(&threads[2], NULL, wait_in_c, NULL);
    puts("ready");
    fflush(stdout);
    PyEval_SaveThread();
    pthread_join(threads[0], NULL);
    return 0;
}
