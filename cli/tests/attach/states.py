"""Is in a state, named by the first argument, until its stdin ends, or for ever where that is the state. Says `ready` first."""

import hashlib
import os
import socket
import sys
import threading
import time


def ready():
    print("ready", flush=True)


def burn():
    x = 0
    while True:
        for _ in range(1000):
            x = (x * 73 + 41) & 0xFFFFF


def sleeping():
    ready()
    while True:
        time.sleep(1000)


def reading():
    ready()
    sys.stdin.read()


def burning():
    ready()
    burn()


def threads():
    for _ in range(4):
        threading.Thread(target=burn, daemon=True).start()
    ready()
    threading.Event().wait()


def hashing():
    """Is in C code nearly always, without the lock."""
    data = b"x" * (16 << 20)
    ready()
    while True:
        hashlib.sha256(data).digest()


def accepting():
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    ready()
    server.accept()


def tasks():
    import asyncio

    async def work():
        while True:
            await asyncio.sleep(0.005)
            sum(range(20_000))

    async def main():
        ready()
        await asyncio.gather(*[work() for _ in range(5)])

    asyncio.run(main())


def locked():
    lock = threading.Lock()
    lock.acquire()
    ready()
    lock.acquire()


def keeping_the_lock():
    """Is in C code that keeps the interpreter's lock for half a second each time."""
    import ctypes

    library = ctypes.PyDLL(None)
    ready()
    while True:
        library.usleep(500_000)


def short_threads():
    """Has threads that live for a few milliseconds; each burns its CPU time, and says how much that was in the end."""
    used = []

    def job():
        x, start = 0, time.thread_time()
        while time.thread_time() - start < 0.004:
            for _ in range(200):
                x = (x * 73 + 41) & 0xFFFFF
        used.append(time.thread_time() - start)

    ready()
    while True:
        thread = threading.Thread(target=job)
        thread.start()
        thread.join()


def loading():
    """Loads and closes a library all the time: the dynamic linker is nearly always at it."""
    import _ctypes
    import _decimal

    library = getattr(_decimal, "__file__", None) or "libm.so.6"
    ready()
    while True:
        for name in (library, "libresolv.so.2"):
            _ctypes.dlclose(_ctypes.dlopen(name, os.RTLD_NOW))


def forking():
    """Forks one child after the other."""
    ready()
    while True:
        child = os.fork()
        if child == 0:
            end = time.process_time() + 0.05
            while time.process_time() < end:
                pass
            os._exit(0)
        os.waitpid(child, 0)


def parent():
    """Forks a child that does nothing, when it is told to, and says its id."""
    ready()
    sys.stdin.readline()
    child = os.fork()
    if child == 0:
        while True:
            time.sleep(1000)
    print(child, flush=True)
    os.waitpid(child, 0)


def recursive():
    def deeper(n):
        if n:
            return deeper(n - 1)
        ready()
        burn()

    sys.setrecursionlimit(5000)
    deeper(900)


globals()[sys.argv[1]]()
