"""Ends an interpreter, and then forks, and so does each child: none of them has that interpreter."""

import os, sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
number = interpreters.create()
interpreters.run_string(number, "pass")
interpreters.destroy(number)
for _ in range(3):
    child = os.fork()
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print("all children ran")
