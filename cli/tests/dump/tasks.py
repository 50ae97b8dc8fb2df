"""Tasks that wait, run, are gathered and grouped, with names."""
import asyncio
import sys
import time


async def leaf():
    await asyncio.sleep(1000)


async def middle():
    await leaf()


async def gathering(*tasks):
    await asyncio.gather(*tasks)


async def awaiting(task):
    await task


async def never_started():
    await leaf()


class Awaitable:
    def __await__(self):
        return (yield from leaf().__await__())


async def by_awaitable():
    await Awaitable()


async def main():
    create = asyncio.get_running_loop().create_task
    first, second = create(middle(), name="first"), create(leaf(), name="second")
    create(awaiting(create(gathering(first, second), name="gathering")), name="awaiting")
    create(by_awaitable(), name="by awaitable")
    create(leaf())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    create(never_started(), name="never started")
    print("ready", flush=True)
    runs()


def runs():
    sys.stdin.readline()
    print("done", flush=True)
    sys.stdout.flush()
    import os
    os._exit(0)


asyncio.run(main())
