/* Starts an interpreter three times, and prints each time by how much a code object grows with its first call. */

#include <Python.h>

int main(void)
{
    for (int i = 0; i < 3; i++) {
        Py_Initialize();
        PyRun_SimpleString("import sys\n"
                           "def function(): pass\n"
                           "before = sys.getsizeof(function.__code__)\n"
                           "function()\n"
                           "print(sys.getsizeof(function.__code__) - before, flush=True)\n");
        if (Py_FinalizeEx() < 0)
            return 1;
    }
    return 0;
}
