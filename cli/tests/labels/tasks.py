"""Tasks in all kinds of loops, where each function that burns time says in its name which task runs it.

`task__worker_3` is run by the task `worker_3`, and `task__` by none.
"""

import asyncio
import sys
import threading
import time

import pronk
from burning import burner

SECONDS = float(sys.argv[2])
#: Whether the kernel takes the samples.
FROM_OUTSIDE = sys.argv[3:] == ["perf"]


def burn(task=""):
    """Burns time, in a function whose name says which task runs it."""
    name = "task__" + task
    burner(name, SECONDS)()


def named(coroutine, name):
    return asyncio.get_running_loop().create_task(coroutine, name=name)


async def work(name, rounds=2):
    for _ in range(rounds):
        burn(name)
        await deeper(name)
        await asyncio.sleep(0)
    async for _ in asynchronous_generator(name):
        burn(name)


async def deeper(name):
    burn(name)
    await asyncio.sleep(0)
    burn(name)


async def asynchronous_generator(name):
    burn(name)
    yield
    await asyncio.sleep(0)
    burn(name)


def recurse(name, depth):
    if depth:
        recurse(name, depth - 1)
    else:
        burn(name)


async def deep(name):
    # The kernel copies 64 KiB of a stack, with the stubs of so many functions.
    for depth in (30, 60) if FROM_OUTSIDE else (300, 700):
        recurse(name, depth)
        await asyncio.sleep(0)


async def renamed():
    burn("before")
    pronk.set_task_name("after")
    burn("after")


async def many():
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(named(work(f"worker_{number}"), f"worker_{number}") for number in range(5)))
    await named(deep("deep"), "deep")
    await named(renamed(), "before")
    # What is called back, and what runs in other threads, is run by no task.
    done = asyncio.Event()

    def callback():
        burn()
        done.set()

    loop.call_soon(callback)
    await done.wait()
    await loop.run_in_executor(None, burn)
    await asyncio.to_thread(burn)
    # A name of more than 128 bytes is cut, and this one is not.
    await named(work("n" * 120, 1), "n" * 120)


async def given_numbers():
    """Names that asyncio gives are found as they would be asked for."""

    async def numbered(name):
        burn(name)

    task = asyncio.get_running_loop().create_task(asyncio.sleep(0))
    number = int(task.get_name().rpartition("-")[2]) + 1
    name = f"Task_{number}"
    await asyncio.get_running_loop().create_task(numbered(name))


async def eager():
    if not hasattr(asyncio, "eager_task_factory"):
        return
    loop = asyncio.get_running_loop()
    burn("eager_parent")
    # `create_task` of 3.12 and 3.13 gives a task that a factory has made its name when its first step is done.
    tasks = [
        asyncio.Task(work(f"eager_{number}", 1), loop=loop, name=f"eager_{number}", eager_start=True) for number in range(3)
    ]
    burn("eager_parent")
    await asyncio.gather(*tasks)
    burn("eager_parent")


class OwnTask(asyncio.Task):
    """A class that derives from the one that is written in C."""


async def own_tasks():
    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda loop, coroutine, **options: OwnTask(coroutine, loop=loop, **options))
    await named(work("own", 1), "own")


async def python_tasks():
    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda loop, coroutine, **options: asyncio.tasks._PyTask(coroutine, loop=loop, **options))
    await named(work("python", 1), "python")


async def failing():
    async def fail():
        burn("failing")
        raise ValueError

    async def wait():
        try:
            await asyncio.sleep(60)
        finally:
            burn("cancelled")

    await asyncio.gather(named(fail(), "failing"), return_exceptions=True)
    task = named(wait(), "cancelled")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def loops_in_threads():
    def loop(number):
        async def main():
            asyncio.current_task().set_name(f"main_{number}")
            burn(f"main_{number}")
            await asyncio.gather(*(named(work(f"thread_{number}_{each}", 1), f"thread_{number}_{each}") for each in range(2)))
            burn(f"main_{number}")

        asyncio.run(main())
        burn()

    threads = [threading.Thread(target=loop, args=(number,)) for number in range(3)]
    threads.append(threading.Thread(target=burn))
    [thread.start() for thread in threads]
    burn()
    [thread.join() for thread in threads]


def run(scenario, loop):
    async def main():
        asyncio.current_task().set_name("main")
        burn("main")
        await scenario()
        burn("main") if scenario is not eager else None

    loop(main())


def run_with_uvloop(main):
    import uvloop

    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(main)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def main(seconds):
    until = time.monotonic() + seconds
    loops = [run_with_uvloop if "uvloop" in sys.argv else asyncio.run]
    scenarios = [many, given_numbers, own_tasks, python_tasks, failing, eager]
    while True:
        for loop in loops:
            for scenario in scenarios:
                if scenario is not eager:
                    run(scenario, loop)
                else:
                    loop(named_main(scenario))
                burn()
        loops_in_threads()
        if time.monotonic() > until:
            break


async def named_main(scenario):
    asyncio.current_task().set_name("eager_parent")
    await scenario()


main(float(sys.argv[1]))
