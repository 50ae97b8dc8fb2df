"""Threads that work in interpreters of their own, from 3.12 on with locks of their own, too: one that runs all the time, one
that waits often, and, for the first argument `churn`, one that makes an interpreter, works in it and destroys it, again and
again. Says `ready` first, and from then on a line for each round of the main interpreter."""

import os
import sys
import threading
import time

if sys.version_info >= (3, 13):
    import _interpreters as interpreters

    create = interpreters.create
else:
    import _xxsubinterpreters as interpreters

    create = lambda: interpreters.create(isolated=sys.version_info >= (3, 12))  # noqa: E731

WORK = """
import os, time

def {name}(until):
    x = 0
    while time.monotonic() < until:
        for _ in range(1000):
            x = (x * 73 + 41) & 0xFFFFF
        {wait}

if {begun} >= 0:
    os.write({begun}, b"x")
{name}({until})
"""


# Up to 3.11 a thread is only asked to give up the lock by others of its own interpreter.
PASS = "pass" if sys.version_info >= (3, 12) else "time.sleep(0)"


def run(interpreter, name, wait, until, begun=-1):
    text = WORK.format(name=name, wait=wait, until=until, begun=begun)
    failed = interpreters.run_string(interpreter, text)
    if failed is not None:
        print("wrong", failed, flush=True)


def for_ever(name, wait, begun):
    # Made in the thread that works in it: up to 3.12 CPython takes the one that made it for that.
    run(create(), name, wait, 1e9, begun)


def churn(name):
    while True:
        interpreter = create()
        run(interpreter, name, PASS, time.monotonic() + 0.02)
        interpreters.destroy(interpreter)


def in_main():
    x = 0
    for _ in range(20_000):
        x = (x * 73 + 41) & 0xFFFFF
    return x


def main():
    begun, begins = os.pipe()
    threads = [
        threading.Thread(target=for_ever, args=("in_busy", PASS, begins), daemon=True),
        threading.Thread(target=for_ever, args=("in_idle", "time.sleep(0.002)", begins), daemon=True),
    ]
    if sys.argv[1:] == ["churn"]:
        threads.append(threading.Thread(target=churn, args=("in_short",), daemon=True))
    for thread in threads:
        thread.start()
    for _ in range(2):
        os.read(begun, 1)
    print("ready", flush=True)
    expected = in_main()
    while True:
        print("right" if in_main() == expected else "wrong", flush=True)
        time.sleep(0.005)


main()
