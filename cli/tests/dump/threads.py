"""Threads with known stacks: each waits on the line that its function's name says."""
import sys
import threading
import time

here = threading.Barrier(4)


def on_9_then_10(again):
    return again()  # line 10


def waits_on_14():
    time.sleep(1000)  # line 14


class Worker:
    def method(self):
        on_9_then_10(waits_on_14)  # line 19


def announce():
    print("ready", flush=True)
    sys.stdin.readline()
    print("done", sum(range(10)), flush=True)


def ready(work):
    here.wait()
    work()


lock = threading.Lock()


def deadlocked():
    with lock:
        lock.acquire()  # line 38


def generator():
    yield time.sleep(1000)  # line 42


def in_a_generator():
    list(generator())


for name, work in [("method", Worker().method), ("deadlocked", deadlocked), ("generator", in_a_generator)]:
    threading.Thread(target=ready, args=(work,), name=name, daemon=True).start()
here.wait()
announce()
