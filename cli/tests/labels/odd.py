"""Coroutines where the running task is not found, or not as it ought to be: without a loop, of odd classes, when the modules are
gone, in interpreters that end, and in the end of the program itself."""

import asyncio
import gc
import sys

import pronk


class Pause:
    def __await__(self):
        yield


async def waits():
    try:
        with pronk.label(a=1):
            await Pause()
    finally:
        with pronk.label(b=1):
            pass


async def recurses(depth):
    return await recurses(depth - 1) if depth else depth


async def leaves_some():
    left = [waits() for _ in range(100)]
    [one.send(None) for one in left]
    KEPT.append(left)
    await recurses(300)
    [asyncio.ensure_future(waits()) for _ in range(10)]
    await asyncio.sleep(0)


class WithSlots(asyncio.Task):
    __slots__ = ("more",)


class WithAttributes(asyncio.Task):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.first, self.second = 1, "text"


async def runs_as(kind):
    asyncio.get_running_loop().set_task_factory(lambda loop, coroutine, **options: kind(coroutine, loop=loop, **options))
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(5)))
    await recurses(10)
    asyncio.current_task().set_name("x" * 300)
    asyncio.current_task().set_name(123)
    await asyncio.sleep(0)


def drive(coroutine):
    try:
        while True:
            coroutine.send(None)
    except StopIteration:
        pass


async def pauses():
    for _ in range(100):
        await Pause()


IN_INTERPRETER = f"""
import sys
sys.path.insert(0, {next(path for path in sys.path if path.endswith("python"))!r})
import asyncio, pronk
async def main():
    with pronk.label(s=1):
        await asyncio.sleep(0)
asyncio.run(main())
left = main()
left.send(None)
"""


def in_interpreters():
    try:
        import _interpreters as interpreters
    except ImportError:
        import _xxsubinterpreters as interpreters
    for _ in range(3):
        one = interpreters.create()
        interpreters.run_string(one, IN_INTERPRETER)
        interpreters.destroy(one)


def without_modules():
    gone = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(("asyncio", "_asyncio"))}
    for instead in (Pause(), None):
        sys.modules["asyncio.tasks"] = instead
        drive(pauses())
    sys.modules.update(gone)


KEPT = []
for _ in range(2):
    asyncio.run(leaves_some())
    for kind in (WithSlots, WithAttributes, asyncio.tasks._PyTask):
        asyncio.run(runs_as(kind))
in_interpreters()
without_modules()
asyncio.run(runs_as(WithSlots))
IN_A_CIRCLE = [pauses()]
IN_A_CIRCLE[0].send(None)
IN_A_CIRCLE.append(IN_A_CIRCLE)
gc.collect()
print("end")
