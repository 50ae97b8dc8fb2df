"""Recurses to a depth, and burns CPU time at the bottom."""

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


def main(levels, seconds):
    # 3.9 and 3.10 need about half a kilobyte of C stack for each level.
    sys.setrecursionlimit(levels + 1000)
    threading.stack_size(512 << 20)
    thread = threading.Thread(target=down, args=(levels, seconds))
    thread.start()
    thread.join()
    print("reached", levels)


main(int(sys.argv[1]), float(sys.argv[2]))
