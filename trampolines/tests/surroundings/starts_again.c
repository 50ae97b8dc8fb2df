/* Starts an interpreter three times, and prints each time by how much a code object grows when it is run first. */

/* As Python.h declares them: not every interpreter comes with its headers. */
void Py_Initialize(void);
int PyRun_SimpleStringFlags(const char *text, void *flags);
int Py_FinalizeEx(void);

int main(void)
{
    for (int i = 0; i < 3; i++) {
        Py_Initialize();
        PyRun_SimpleStringFlags("import sys\n"
                           "code = compile('1', 'text', 'eval')\n"
                           "before = sys.getsizeof(code)\n"
                           "eval(code)\n"
                           "print(sys.getsizeof(code) - before, flush=True)\n", 0);
        if (Py_FinalizeEx() < 0)
            return 1;
    }
    return 0;
}
