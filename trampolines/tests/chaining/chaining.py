"""Takes the hook out and puts it in again, under and over another evaluator."""

import ctypes
import sys

agent = ctypes.PyDLL(sys.argv[1])
over = ctypes.PyDLL(sys.argv[2])
agent.pronk_install.restype = ctypes.c_bool


def nested(levels):
    return over.stubs_on_stack() if levels == 0 else nested(levels - 1)


def stubs():
    """How many of 10 nested calls run through stubs, with the two functions and the module that are there anyway."""
    return nested(9)


def expect(what, value, expected):
    if value != expected:
        sys.exit(f"{what}: {value}, expected {expected}")


# The module's own frame began under the hook, and goes on so.
expect("with the hook", stubs(), 12)
expect("a hook is set", over.no_hook(), 0)

expect("installing again", agent.pronk_install(), True)
expect("after installing again", stubs(), 12)

agent.pronk_remove()
expect("after removing", over.no_hook(), 1)
expect("without the hook", stubs(), 1)
agent.pronk_remove()
expect("removing again", over.no_hook(), 1)

agent.pronk_install()
expect("after putting it back", stubs(), 12)

# Another hook over ours: both are called, for the 11 calls and for that of expect().
over.set_over()
calls = over.calls_of_over()
expect("under another hook", stubs(), 12)
expect("calls of the other hook", over.calls_of_over() - calls, 12)

# Ours cannot be taken out now, so it only passes on.
agent.pronk_remove()
expect("the other hook stays", over.no_hook(), 0)
calls = over.calls_of_over()
expect("passing on", stubs(), 1)
expect("calls of the other hook", over.calls_of_over() - calls, 12)

agent.pronk_install()
expect("after installing under another hook", stubs(), 12)

# The other one takes itself away as it should: ours is the current hook again.
over.restore_below()
expect("after the other hook is gone", stubs(), 12)
agent.pronk_remove()
expect("at the end", over.no_hook(), 1)
print("ok")
