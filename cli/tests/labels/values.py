"""Sets a label to a new value again and again, and says how much memory that took after the first tenth."""

import resource
import sys
import time

import pronk

COUNT = int(sys.argv[1])
SECONDS = float(sys.argv[2])


def memory():
    """The most memory that was used so far, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def burn(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


for number in range(COUNT):
    with pronk.label(number=number):
        if SECONDS:
            burn(SECONDS)
    if number == COUNT // 10:
        before = memory()
print(memory() - before)
