"""Functions that burn time and say in their names what their samples must have."""

import threading
import time

MADE = {}
LOCK = threading.Lock()


def burner(name, seconds):
    """The function of this name, which burns so many seconds of CPU time."""
    with LOCK:
        if name not in MADE:
            source = f"""
def {name}():
    until = clock() + seconds
    while clock() < until:
        for _ in range(50):
            pass
"""
            names = {"clock": time.thread_time, "seconds": seconds}
            exec(source, names)
            MADE[name] = names[name]
        return MADE[name]
