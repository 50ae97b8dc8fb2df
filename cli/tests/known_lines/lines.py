"""Burns known shares of CPU time on lines of its own.

Each line of burn() that calls spend() names its share; spend() measures the thread's CPU time itself, so the truth does not
hang on how fast a line is. Prints the truth: for each line, how much CPU time it used.
"""

import json
import sys
import time
from contextlib import contextmanager

used = {}


def spend(seconds):
    line = sys._getframe(1).f_lineno
    start = time.thread_time()
    end = start + seconds
    while time.thread_time() < end:
        pass
    used[line] = used.get(line, 0.0) + time.thread_time() - start
    return 1


@contextmanager
def managed():
    yield spend


def burn(unit):
    spend(unit * 3)
    total = (
        spend(unit)
        + spend(unit * 2)
    )
    try:
        spend(unit)
        raise ValueError(total)
    except ValueError:
        spend(unit * 2)
    finally:
        spend(unit)
    with managed() as manager:
        manager(unit * 2)
    [spend(unit / 4) for _ in range(8)]
    for _ in range(2):
        spend(unit)
    if total and (lambda: spend(unit * 2))():
        return spend(
            unit,
        )


seconds = float(sys.argv[1])
while sum(used.values()) < seconds:
    burn(0.002)
print(json.dumps(used))
