"""Does a little of everything while it is sampled: new code objects, threads, deep recursion, exceptions, allocation."""

import sys
import threading
import time

END = time.monotonic() + 1.0


def allocate():
    return [bytearray(n) for n in range(200)]


def recurse(depth):
    return 0 if depth == 0 else 1 + recurse(depth - 1)


def fail():
    try:
        {}["missing"]
    except KeyError as error:
        return str(error)


def numbers():
    for number in range(50):
        yield number * number


class Thing:
    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        return self.value < other.value


def work():
    turn = 0
    while time.monotonic() < END:
        turn += 1
        allocate()
        recurse(700)
        fail()
        sum(numbers())
        sorted([Thing(n * 7919 % 101) for n in range(100)])
        # New code objects, which are described in the handler.
        exec(compile(f"def generated_{turn}(): return sum(range({turn}))\ngenerated_{turn}()", f"<é {turn}>", "exec"), {})
        lock.acquire()
        lock.release()


lock = threading.Lock()
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
work()
for thread in threads:
    thread.join()
print("done", sys.version_info[0])
