"""Calls functions for some seconds of CPU time, in the main thread, in others, or in forked children, and prints how often."""

import os
import sys
import threading
import time

SECONDS = 1.5


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


class Thing:
    def method(self, value):
        return value

    def outer(self, value):
        return self.method(value) + self.method(value)


def values(n):
    for value in range(n):
        yield value


def work():
    thing = Thing()
    fib(10)
    for value in values(100):
        thing.outer(value)
    sum(range(2000))


# What one call of work() is.
CALLS = {"work": 1, "fib": 177, "method": 200, "outer": 100, "values": 101}


def rounds(clock=time.thread_time):
    done, end = 0, clock() + SECONDS
    while clock() < end:
        work()
        done += 1
    return done


def in_threads():
    done = []
    threads = [threading.Thread(target=lambda: done.append(rounds())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done)


def in_children():
    done = rounds()
    for _ in range(2):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, str(rounds()).encode())
            os._exit(0)
        os.close(writer)
        done += int(os.read(reader, 100))
        os.wait()
    return done


def in_depth():
    def deeper(n):
        return work() if n == 0 else deeper(n - 1)

    sys.setrecursionlimit(20_000)
    done, end = 0, time.thread_time() + SECONDS
    while time.thread_time() < end:
        deeper(900)
        done += 1
    return done


done = {"main": rounds, "threads": in_threads, "children": in_children, "depth": in_depth}[sys.argv[1]]()
for name, calls in CALLS.items():
    print(name, done * calls)
