"""Ends in the way that is asked for."""

import _thread
import atexit
import ctypes
import faulthandler
import mmap
import os
import signal
import sys
import tempfile
import threading
import time


def caught(depth):
    try:
        return failing(depth)
    finally:
        print("unwound", depth)


def failing(depth):
    if depth == 0:
        raise ValueError("of no use")
    return caught(depth - 1)


def uncaught_exception():
    atexit.register(print, "at exit")
    caught(3)


def chained_exceptions():
    try:
        failing(0)
    except ValueError as error:
        try:
            {}["missing"]
        except KeyError:
            raise RuntimeError("again") from error


def syntax_error():
    exec(compile("def f(:\n    pass\n", "made.py", "exec"))


def exit_with_3():
    sys.exit(3)


def exit_with_text():
    sys.exit("bye")


def exit_at_once():
    atexit.register(print, "not printed")
    os._exit(4)


def abort():
    os.abort()


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def interrupt_itself():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)


def faults_that_are_sent():
    received = []
    signal.signal(signal.SIGSEGV, lambda number, frame: received.append(number))
    signal.signal(signal.SIGBUS, signal.SIG_IGN)
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGSEGV)
        os.kill(os.getpid(), signal.SIGBUS)
    print(received, signal.getsignal(signal.SIGBUS))
    signal.signal(signal.SIGBUS, signal.SIG_DFL)
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGBUS)


def bus_error():
    with tempfile.TemporaryFile() as file:
        file.truncate(1)
        mapped = mmap.mmap(file.fileno(), 1)
        file.truncate(0)
        print(mapped[0])


def segmentation_fault():
    import ctypes

    # The C stack, which 3.14 shows as well, has pronk's frames: that is what pronk is.
    faulthandler.enable(**({"c_stack": False} if sys.version_info >= (3, 14) else {}))

    def reads_nothing():
        ctypes.string_at(0)

    reads_nothing()


def dump_traceback():
    faulthandler.dump_traceback(all_threads=False)


def fork_and_wait():
    pid = os.fork()
    if pid == 0:
        print("child")
        sys.exit(5)
    print("parent of", os.WEXITSTATUS(os.waitpid(pid, 0)[1]))


def fork_without_exec_and_fail():
    pid = os.fork()
    if pid == 0:
        failing(2)
    status = os.waitpid(pid, 0)[1]
    print("status", status)


def execv():
    sys.stdout.flush()
    script = "import sys; print(sys.argv, file=sys.stderr); sys.exit(6)"
    os.execv(sys.executable, [sys.executable, "-c", script, "a b"])


def recursion_error():
    def deeper(depth):
        return deeper(depth + 1)

    deeper(0)


def threads():
    def fail():
        raise LookupError("in a thread")

    threading.excepthook = lambda arguments: print("failed:", arguments.exc_value)
    failing_threads = [threading.Thread(target=fail) for _ in range(3)]
    for thread in failing_threads:
        thread.start()
        thread.join()


def daemons_at_exit():
    """Daemon threads are in the middle of their work when the interpreter ends."""
    started = threading.Barrier(9)

    def work():
        started.wait()
        while True:
            sum(range(100))

    for _ in range(8):
        threading.Thread(target=work, daemon=True).start()
    started.wait()
    atexit.register(print, "at exit")
    print("ends")


def thread_exits_by_itself():
    """It is unwound from C, past whatever called it."""
    leave = ctypes.CDLL(None).pthread_exit
    _thread.start_new_thread(leave, (None,))
    while len(os.listdir("/proc/self/task")) > 1:
        pass
    print("the thread is gone")


def thread_outlives_main():
    def work():
        threading.main_thread().join()
        print("after main")

    threading.Thread(target=work).start()


def handlers_at_exit():
    def handler(name):
        print("handler", name)

    for name in "abc":
        atexit.register(handler, name)
    atexit.register(failing, 1)

    class Last:
        def __del__(self):
            print("deleted")

    globals()["last"] = Last()
    sys.exit(9)


def unraisable():
    class Unlucky:
        def __del__(self):
            raise ValueError("in __del__")

    sys.unraisablehook = lambda arguments: print("unraisable:", arguments.exc_value)
    Unlucky()


if __name__ == "__main__":
    print("starts")
    globals()[sys.argv[1]]()
    print("ends by itself")
