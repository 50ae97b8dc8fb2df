/* Looks like CPython to whoever looks for its functions. */

#include <stdio.h>

int _PyRuntime;

const char *Py_GetVersion(void)
{
    return "3.12.1";
}

int PyGILState_Ensure(void)
{
    return 0;
}

int main(void)
{
    puts("ready");
    fflush(stdout);
    return getchar() == EOF;
}
