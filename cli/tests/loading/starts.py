"""Starts further Pythons in the way that is asked for; each one works for a moment in a function of its own."""

import multiprocessing
import os
import subprocess
import sys
import time


def work():
    end = time.process_time() + 0.1
    while time.process_time() < end:
        sum(range(1000))


def in_parent():
    work()


def in_child():
    work()


def reap(pid):
    _, status = os.waitpid(pid, 0)
    assert status == 0, status


def start_subprocess():
    subprocess.run([sys.executable, "-c", CHILD], check=True)


def start_fork():
    pid = os.fork()
    if pid == 0:
        in_child()
        functions = {"work": work}
        exec("def made_in_child():\n    work()", functions)
        functions["made_in_child"]()
        os._exit(0)
    reap(pid)


def start_fork_of_fork():
    pid = os.fork()
    if pid == 0:
        start_fork()
        os._exit(0)
    reap(pid)


def start_multiprocessing(method):
    process = multiprocessing.get_context(method).Process(target=in_child)
    process.start()
    process.join()
    assert process.exitcode == 0, process.exitcode


def start_execv():
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-c", CHILD + "; print('done')"])


def start_subinterpreter():
    if sys.version_info >= (3, 13):
        import _interpreters as interpreters
    else:
        import _xxsubinterpreters as interpreters
    interpreter = interpreters.create()
    interpreters.run_string(interpreter, SUBINTERPRETER)
    interpreters.destroy(interpreter)


CHILD = "import sys; sys.path.insert(0, %r); import starts; starts.in_child()" % os.path.dirname(__file__)

SUBINTERPRETER = """
import time

def in_child():
    start = time.thread_time()
    while time.thread_time() < start + 0.1:
        sum(range(1000))

in_child()
"""

STARTS = {
    "subprocess": start_subprocess,
    "fork": start_fork,
    "fork of fork": start_fork_of_fork,
    "multiprocessing fork": lambda: start_multiprocessing("fork"),
    "multiprocessing spawn": lambda: start_multiprocessing("spawn"),
    "execv": start_execv,
    "subinterpreter": start_subinterpreter,
}

if __name__ == "__main__":
    in_parent()
    STARTS[sys.argv[1]]()
    print("done")
