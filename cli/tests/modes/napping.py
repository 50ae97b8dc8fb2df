"""Computes and naps in turn, and prints how much of the time it napped."""

import sys
import time

SECONDS = float(sys.argv[1])
napped = 0.0


def computes():
    end = time.monotonic() + 0.02
    while time.monotonic() < end:
        sum(range(100))


def naps():
    global napped
    before = time.monotonic()
    time.sleep(0.03)
    napped += time.monotonic() - before


start = time.monotonic()
while time.monotonic() - start < SECONDS:
    computes()
    naps()
print(napped / (time.monotonic() - start))
