"""Works until there is a file `stop`, and says in the file `progress` how far it is. Writes to its stdout all the time."""

import os
import sys
import threading
import time

import pronk


def hot(n):
    total = 0
    for i in range(n):
        total += i * i
    return total


def warm(n):
    total = 0
    for i in range(n):
        total += i
    return total


def outer():
    hot(20000)
    warm(8000)


def background():
    while not os.path.exists("stop"):
        with pronk.label(tenant="acme"):
            warm(5000)
        time.sleep(0.005)


thread = threading.Thread(target=background, name="background", daemon=True)
thread.start()
print("begun", flush=True)
began = time.monotonic()
said = 0
while not os.path.exists("stop"):
    outer()
    print("noise on stdout", flush=True)
    print("noise on stderr", file=sys.stderr, flush=True)
    if time.monotonic() - said > 0.1:
        said = time.monotonic()
        with open("progress.new", "w") as file:
            file.write(str(said - began))
        os.rename("progress.new", "progress")
sys.exit(3)
