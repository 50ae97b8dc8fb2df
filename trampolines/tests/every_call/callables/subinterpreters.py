"""Calls in another interpreter of the same process. It cannot note them here; whoever asks for them does."""

import atexit
import sys

from notes import run, scenario

LABEL = "function in a subinterpreter"
# The label is the docstring, so that it is a constant of the function.
text = f"def called(): {LABEL!r}"
code = compile(text, "<subinterpreter>", "exec")

if sys.version_info >= (3, 13):
    import _interpreters as interpreters

    def execute(text):
        failure = interpreters.exec(other, text)
        if failure is not None:
            raise RuntimeError(failure)

else:
    import _xxsubinterpreters as interpreters

    def execute(text):
        interpreters.run_string(other, text)


other = interpreters.create()
atexit.register(interpreters.destroy, other)
execute(f"exec(compile({text!r}, {code.co_filename!r}, 'exec'))")


@scenario
def call_in_subinterpreter():
    execute("for _ in range(3): called()")
    for _ in range(3):
        run(LABEL)
