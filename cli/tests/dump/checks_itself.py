"""Works in threads and tasks until it is told to end, and checks its own results."""
import asyncio
import queue
import sys
import threading
import time

ended = threading.Event()


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def compute():
    while not ended.is_set():
        assert fib(12) == 144


def sleep():
    while not ended.is_set():
        before = time.monotonic()
        time.sleep(0.003)
        assert time.monotonic() - before >= 0.003


def exchange():
    to, back = queue.Queue(), queue.Queue()

    def echo():
        for value in iter(to.get, None):
            back.put(value)

    other = threading.Thread(target=echo)
    other.start()
    number = 0
    while not ended.is_set():
        number += 1
        to.put(number)
        assert back.get(timeout=60) == number
    to.put(None)
    other.join()


def start_threads():
    while not ended.is_set():
        found = []
        thread = threading.Thread(target=lambda: found.append(fib(5)))
        thread.start()
        thread.join()
        assert found == [5]


async def add(one, other):
    await asyncio.sleep(0)
    return one + other


async def loop():
    while not ended.is_set():
        assert await asyncio.gather(*(add(n, n) for n in range(20))) == [2 * n for n in range(20)]
        await asyncio.sleep(0.001)


failed = []


def checked(work):
    try:
        work()
    except BaseException as error:
        failed.append(repr(error))


works = [compute, sleep, exchange, start_threads, lambda: asyncio.run(loop())]
threads = [threading.Thread(target=checked, args=(work,)) for work in works]
for thread in threads:
    thread.start()
print("ready", flush=True)
sys.stdin.readline()
ended.set()
for thread in threads:
    thread.join()
print("done", failed, flush=True)
