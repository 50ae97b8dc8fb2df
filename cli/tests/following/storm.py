"""Forks many children that live for some milliseconds each, a few at a time."""

import os
import sys
import time
import warnings

AT_ONCE = 8

# CPython counts the agent's thread (docs/attaching.md, "Limits").
warnings.simplefilter("ignore", DeprecationWarning)


def short():
    end = time.process_time() + 0.005
    while time.process_time() < end:
        sum(range(100))


def main(number):
    print("ready", flush=True)
    sys.stdin.readline()
    running = 0
    for _ in range(number):
        if running == AT_ONCE:
            os.wait()
            running -= 1
        if os.fork() == 0:
            short()
            os._exit(0)
        running += 1
    for _ in range(running):
        os.wait()
    print("done", flush=True)
    sys.stdin.readline()


main(int(sys.argv[1]))
