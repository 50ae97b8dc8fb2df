"""Processes that were forked in different ways call the same functions, and functions of their own."""

import ctypes
import os
import platform


def shared():
    pass


def parents():
    pass


def childs():
    pass


def grandchilds():
    pass


def unknown_to_c():
    pass


def call(function, times):
    for _ in range(times):
        function()


def run_in(fork, *calls):
    child = fork()
    if not child:
        for function, times in calls:
            if callable(times):
                run_in(function, *times())
            else:
                call(function, times)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


call(shared, 1_000)
run_in(os.fork, (shared, 200), (childs, 30), (os.fork, lambda: [(shared, 40), (childs, 5), (grandchilds, 6)]), (childs, 1))
run_in(os.fork, (childs, 100))
call(parents, 7)
call(shared, 3)
if platform.machine() == "x86_64":
    # The system call itself, of which the C library and Python are not told.
    SYS_FORK = 57
    run_in(lambda: ctypes.CDLL(None).syscall(SYS_FORK), (shared, 20_000), (unknown_to_c, 8))
