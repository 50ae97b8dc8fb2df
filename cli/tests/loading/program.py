"""Works for a moment in a function of its own."""

import time


def in_program():
    end = time.process_time() + 0.1
    while time.process_time() < end:
        sum(range(1000))


in_program()
print("done")
