"""A thread that computes, one that sleeps, and one that computes without the interpreter's lock."""

import hashlib
import sys
import threading
import time

SECONDS = float(sys.argv[1])
DATA = b"x" * (1 << 20)
end = time.monotonic() + SECONDS


def computes():
    while time.monotonic() < end:
        sum(range(1000))


def sleeps():
    while time.monotonic() < end:
        time.sleep(SECONDS / 20)


def hashes():
    while time.monotonic() < end:
        hashlib.sha256(DATA).digest()


threads = [threading.Thread(target=target) for target in (computes, sleeps, hashes)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("done")
