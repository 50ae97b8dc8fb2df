"""Recurses to a depth, and burns CPU time at the bottom."""

import argparse
import sys
import threading
import time


def step(count):
    total = 0
    for number in range(count):
        total += number * number
    return total


def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        step(100)


def down(levels, seconds):
    if levels == 0:
        return burn(seconds)
    return down(levels - 1, seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--levels", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    # 3.9 and 3.10 need about half a kilobyte of C stack for each level.
    sys.setrecursionlimit(options.levels + 1000)
    threading.stack_size(512 << 20)
    thread = threading.Thread(target=down, args=(options.levels, options.seconds))
    thread.start()
    thread.join()
    print("reached", options.levels)


main()
