"""Does a little of everything while it is sampled: new code objects, threads, deep recursion, exceptions, allocation,
tasks that await each other."""

import asyncio
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


def work_in_tasks():
    async def leaf():
        for _ in range(5):
            allocate()
            recurse(100)
            await asyncio.sleep(0)

    async def wait(turn):
        # New code objects that await, which are described in the handler, too.
        names = {"asyncio": asyncio, "leaf": leaf}
        exec(f"async def awaits_{turn}(): await asyncio.gather(leaf(), asyncio.shield(leaf()))", names)
        await asyncio.wait_for(names[f"awaits_{turn}"](), 60)

    async def main():
        turn = 0
        while time.monotonic() < END:
            turn += 1
            await asyncio.gather(wait(turn), asyncio.create_task(wait(-turn % 7)))

    asyncio.run(main())


lock = threading.Lock()
threads = [threading.Thread(target=target) for target in (work, work, work, work_in_tasks)]
for thread in threads:
    thread.start()
work()
for thread in threads:
    thread.join()
print("done", sys.version_info[0])
