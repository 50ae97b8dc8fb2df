"""Is killed in the midst of its work."""

import os
import signal


def work():
    pass


for _ in range(12_345):
    work()
os.kill(os.getpid(), signal.SIGKILL)
