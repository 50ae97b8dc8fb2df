"""Stacks that are not plain calls. Each part burns CPU time in a way of its own and says what it has computed."""

import asyncio
import ctypes
import os
import subprocess
import sys
import threading
import time

SECONDS = float(sys.argv[1])
LIBRARY = ctypes.CDLL(sys.argv[2])


def burn(seconds=SECONDS):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(200))
    return 1


def generator():
    burn()
    yield 1
    burn()
    yield 2


def delegating():
    yield from generator()


def in_generators():
    return list(delegating())


async def asynchronous_generator():
    burn()
    yield 1
    await asyncio.sleep(0)
    burn()
    yield 2


async def consumer():
    return [value async for value in asynchronous_generator()]


def in_asynchronous_generators():
    return asyncio.run(consumer())


class Sorted:
    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        burn(SECONDS / 4)
        return self.value < other.value


def in_comparison():
    return [one.value for one in sorted(Sorted(value) for value in (3, 1, 2))]


class Finalized:
    def __del__(self):
        burn()


def in_finalizer():
    one = Finalized()
    del one
    return "gone"


CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)


def called_from_c(number):
    burn()
    return number * 2


def in_ctypes_callback():
    return LIBRARY.call_back(CALLBACK(called_from_c), 21)


COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))


def compare(one, other):
    burn(SECONDS / 8)
    return one[0] - other[0]


def in_qsort():
    numbers = (ctypes.c_int * 4)(4, 1, 3, 2)
    ctypes.CDLL(None).qsort(numbers, 4, ctypes.sizeof(ctypes.c_int), COMPARE(compare))
    return list(numbers)


def raiser(levels):
    if levels == 0:
        burn()
        raise KeyError("bottom")
    try:
        raiser(levels - 1)
    finally:
        burn(SECONDS / 8)


def in_exceptions():
    try:
        raiser(5)
    except KeyError as error:
        return str(error)


def short_lived(results):
    sum(range(20_000))
    results.append(1)


def in_short_threads():
    results = []
    for _ in range(100):
        threads = [threading.Thread(target=short_lived, args=(results,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return len(results)


def in_native_threads():
    # One that never runs Python, and one that does for a moment.
    return LIBRARY.native_thread(int(SECONDS * 1000)), LIBRARY.visiting_thread(CALLBACK(called_from_c))


def in_children():
    stop = threading.Event()
    other = threading.Thread(target=lambda: [sum(range(1000)) for _ in iter(stop.is_set, True)])
    other.start()
    statuses = []
    for number in range(5):
        child = os.fork()
        if child == 0:
            forked_child()
            os._exit(number)
        statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    stop.set()
    other.join()
    answer = subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True, check=True)
    return statuses, answer.stdout.strip()


def forked_child():
    burn()


class Cancelled(Exception):
    pass


async def inner():
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        burn()
        raise


async def outer():
    await inner()


async def cancels():
    task = asyncio.ensure_future(outer())
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return "cancelled"


def in_cancellation():
    return asyncio.run(cancels())


class Constructed:
    def __init__(self):
        burn()


def in_constructor():
    return type(Constructed()).__name__


for part in [
    in_generators,
    in_asynchronous_generators,
    in_comparison,
    in_finalizer,
    in_ctypes_callback,
    in_qsort,
    in_exceptions,
    in_short_threads,
    in_native_threads,
    in_children,
    in_cancellation,
    in_constructor,
]:
    print(part.__name__, part())
