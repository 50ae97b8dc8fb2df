"""A thread that computes, one that sleeps, and one that computes without the interpreter's lock.

They run for so many seconds, and longer where the processor has much else to do: until those that compute have computed enough.
"""

import hashlib
import sys
import threading
import time

SECONDS = float(sys.argv[1])
ENOUGH = 0.3
DATA = b"x" * (1 << 20)
end = time.monotonic() + SECONDS
ran = {"computes": 0.0, "hashes": 0.0}


def goes_on(name=None):
    if name:
        ran[name] = time.thread_time()
    return time.monotonic() < end or min(ran.values()) < ENOUGH


def computes():
    while goes_on("computes"):
        sum(range(1000))


def sleeps():
    while goes_on():
        time.sleep(SECONDS / 20)


def hashes():
    while goes_on("hashes"):
        hashlib.sha256(DATA).digest()


threads = [threading.Thread(target=target) for target in (computes, sleeps, hashes)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("done")
