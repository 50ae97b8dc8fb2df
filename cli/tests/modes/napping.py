"""Computes and naps in turn, and prints how much of the time it napped, and how much it could do neither."""

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
computed_before = time.process_time()
while time.monotonic() - start < SECONDS:
    computes()
    naps()
took = time.monotonic() - start
print(napped / took, max(0.0, 1 - (napped + time.process_time() - computed_before) / took))
