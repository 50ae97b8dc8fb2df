"""Works until stubs were on and are off for good, as CPython's own functions say which evaluator is set.

    after.py SECONDS

Gives up if they have not been on within so many seconds.
"""

import ctypes
import sys
import time

api = ctypes.PyDLL(None)
this_interpreter, evaluator = api.PyInterpreterState_Get, api._PyInterpreterState_GetEvalFrameFunc
this_interpreter.restype, evaluator.argtypes, evaluator.restype = ctypes.c_void_p, [ctypes.c_void_p], ctypes.c_void_p
OWN = ctypes.cast(api._PyEval_EvalFrameDefault, ctypes.c_void_p).value
INTERPRETER = this_interpreter()


def is_on():
    return evaluator(INTERPRETER) != OWN


def work():
    return sum(number * number for number in range(100))


def work_until(wanted, seconds, otherwise):
    end = time.monotonic() + seconds
    while not wanted():
        work()
        if time.monotonic() > end:
            print(otherwise)
            sys.exit()


work_until(is_on, float(sys.argv[1]), "never on")
off_since = time.thread_time()


def is_off_for_good():
    global off_since
    if is_on():
        off_since = time.thread_time()
    # Ten times as long as windows are apart with this budget.
    return time.thread_time() - off_since > 2


work_until(is_off_for_good, 120, "on")
print("off")
