"""Eight threads call the same function, and are switched as often as can be."""

import sys
import threading

sys.setswitchinterval(1e-6)


def shared():
    pass


def call():
    for _ in range(20_000):
        shared()


threads = [threading.Thread(target=call) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
