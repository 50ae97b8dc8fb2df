"""Blocks with labels in all kinds of code, where each function that burns time says in its name which labels its samples have.

`must__a_1__b_x` has the labels a=1 and b=x, and no others.
"""

import asyncio
import contextlib
import functools
import gc
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pronk
from burning import burner

#: How long each call burns, in seconds.
SECONDS = float(sys.argv[2])


def burn(**labels):
    """Burns time, in a function whose name says which labels its samples have."""
    name = "must" + "".join(f"__{key}_{value}" for key, value in sorted(labels.items()))
    burner(name, SECONDS)()
    found = {key: str(value) for key, value in pronk.labels().items()}
    if "_pronk" in sys.modules:
        assert found == {key: str(value) for key, value in labels.items()}, (found, labels)


def blocks():
    burn()
    with pronk.label(a=1):
        burn(a=1)
        with pronk.label(b="x"):
            burn(a=1, b="x")
            with pronk.label(a=2):
                burn(a=2, b="x")
            burn(a=1, b="x")
        burn(a=1)
    burn()
    for value in range(3):
        with pronk.label(turn=value):
            burn(turn=value)
    with pronk.label(a=1, b=2), pronk.label(b=3):
        burn(a=1, b=3)
    burn()


class Loud:
    """An object whose text is made by Python code."""

    def __str__(self):
        with pronk.label(inside=1):
            return "loud"


class Failing:
    def __str__(self):
        raise ValueError


def values():
    given = {"a": 1, "b": Loud(), "c": None, "d": 1.5, "e": 2**100, "f": Failing(), "g": "x" * 1000, "h": "\udc80"}
    before = dict(given)
    with pronk.label(**given):
        found = pronk.labels()
    # What is given is as it was.
    assert given == before
    as_text = {"b": "loud", "c": "None", "d": "1.5", "e": str(2**100), "f": "?"}
    assert found in ({}, {**before, **as_text}), found
    label = functools.partial(pronk.label, a=1)
    for _ in range(2):
        with label(), label(b="x"):
            burn(a=1, b="x")
    try:
        pronk.label(1)
    except TypeError:
        pass
    else:
        raise AssertionError("a label without a name")


def recursion(depth=3):
    with pronk.label(depth=depth):
        burn(depth=depth)
        if depth:
            recursion(depth - 1)
        burn(depth=depth)


def one_label_many_times():
    label = pronk.label(a=1)
    for _ in range(2):
        with label:
            burn(a=1)
            with label:
                burn(a=1)
                with pronk.label(b=2), label:
                    burn(a=1, b=2)
            burn(a=1)
        burn()


def exceptions():
    try:
        with pronk.label(a=1):
            try:
                with pronk.label(b=1):
                    raise ValueError
            except ValueError:
                burn(a=1)
                raise
    except ValueError:
        burn()


def exit_stacks():
    with contextlib.ExitStack() as stack:
        stack.enter_context(pronk.label(a=1))
        burn(a=1)
        stack.enter_context(pronk.label(b=1))
        burn(a=1, b=1)
    burn()


def counting(key, count=2):
    for value in range(count):
        with pronk.label(**{key: value}):
            burn_inside(key, value)
            yield value
            burn_inside(key, value)


OUTSIDE = {}


def burn_inside(key, value):
    burn(**{**OUTSIDE, key: value})


def generators():
    for value in counting("g"):
        # The generator is suspended within its block.
        burn()
    burn()
    with pronk.label(a=1):
        made_inside = counting("g")
        OUTSIDE["a"] = 1
        next(made_inside)
        burn(a=1)
        OUTSIDE.clear()
    burn()
    next(made_inside)
    burn()
    # Dropped while it is suspended within its block.
    del made_inside
    burn()
    made_outside = counting("g")
    with pronk.label(a=1):
        OUTSIDE["a"] = 1
        for _ in made_outside:
            burn(a=1)
        OUTSIDE.clear()
    burn()


def generators_that_are_ended():
    generator = counting("g")
    next(generator)
    burn()
    try:
        generator.throw(KeyError)
    except KeyError:
        burn()
    generator = counting("g")
    next(generator)
    generator.close()
    burn()
    in_a_circle = [counting("g")]
    next(in_a_circle[0])
    in_a_circle.append(in_a_circle)
    del in_a_circle
    gc.collect()
    burn()


def delegating():
    with pronk.label(d=1):
        OUTSIDE["d"] = 1
        yield from counting("g")
        OUTSIDE.clear()


def delegation():
    for _ in delegating():
        burn()
    burn()


@pronk.labeled(f=1)
def function():
    burn(f=1)


@pronk.labeled(f=2)
def generator():
    burn(f=2)
    yield 1
    burn(f=2)


@pronk.labeled(f=3)
async def coroutine():
    burn(f=3)
    await asyncio.sleep(0)
    burn(f=3)


@pronk.labeled(f=4)
async def asynchronous_generator():
    burn(f=4)
    got = yield 1
    assert got is None or got == "sent"
    await asyncio.sleep(0)
    burn(f=4)
    yield 2


def decorated():
    function()
    for _ in generator():
        burn()

    async def main():
        await coroutine()
        burn()
        async for _ in asynchronous_generator():
            burn()
        by_hand = asynchronous_generator()
        assert await by_hand.asend(None) == 1
        assert await by_hand.asend("sent") == 2
        await by_hand.aclose()
        burn()

    asyncio.run(main())
    burn()


async def counting_async(key, count=2):
    for value in range(count):
        with pronk.label(**{key: value}):
            burn_inside(key, value)
            yield value
            await asyncio.sleep(0)
            burn_inside(key, value)


async def awaits():
    async def inner():
        with pronk.label(inner=1):
            await asyncio.sleep(0)
            burn(a=1, inner=1)
        await asyncio.sleep(0)
        burn(a=1)

    with pronk.label(a=1):
        await inner()
        burn(a=1)
    burn()
    async for _ in counting_async("g"):
        burn()
        await asyncio.sleep(0)
        burn()
    burn()


async def sibling(number, rounds=2):
    burn(parent=1)
    for turn in range(rounds):
        with pronk.label(task=number):
            burn(parent=1, task=number)
            await asyncio.sleep(0)
            burn(parent=1, task=number)
        await asyncio.sleep(0)
        burn(parent=1)


async def tasks():
    with pronk.label(parent=1):
        siblings = [asyncio.ensure_future(sibling(number)) for number in range(3)]
        burn(parent=1)
        await asyncio.sleep(0)
        burn(parent=1)
    # They go on with what was around where they were made.
    burn()
    await asyncio.gather(*siblings)
    burn()
    with pronk.label(parent=1):
        await asyncio.gather(sibling(0), sibling(1))
        burn(parent=1)
    burn()
    if hasattr(asyncio, "TaskGroup"):
        async with asyncio.TaskGroup() as group:
            with pronk.label(parent=1):
                group.create_task(sibling(0))
                group.create_task(sibling(1))
            burn()
        burn()


async def generations():
    """Each task makes the next one within a block."""

    async def one(number, labels):
        burn(**labels)
        with pronk.label(**{f"level{number % 20}": number}):
            labels = {**labels, f"level{number % 20}": number}
            burn(**labels)
            return asyncio.ensure_future(one(number + 1, labels)) if number < 24 else None

    task = asyncio.ensure_future(one(0, {}))
    while task is not None:
        task = await task
        burn()


async def cancellation():
    async def cancelled():
        try:
            with pronk.label(a=1):
                burn(a=1)
                await asyncio.sleep(60)
        finally:
            burn()

    task = asyncio.ensure_future(cancelled())
    await asyncio.sleep(0)
    burn()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        burn()


async def callbacks():
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def callback():
        burn(a=1)
        done.set()

    with pronk.label(a=1):
        loop.call_soon(callback)
        # A thread of an executor starts empty, and one that carries the context does not.
        await loop.run_in_executor(None, burn)
        burn(a=1)
        await asyncio.to_thread(burn, a=1)
        burn(a=1)
    await done.wait()
    burn()


async def eager():
    if not hasattr(asyncio, "eager_task_factory"):
        return
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    with pronk.label(parent=1):
        task = asyncio.create_task(sibling(7))
        burn(parent=1)
    burn()
    await task
    burn()


def threads():
    with pronk.label(a=1):
        empty = threading.Thread(target=burn)
        empty.start()
        burn(a=1)
        empty.join()
        inheriting = pronk.inherit(threading.Thread(target=burn, kwargs={"a": 1}))
        with ThreadPoolExecutor(1) as executor:
            executor.submit(burn).result()
            pronk.inherit(executor)
            with pronk.label(b=2):
                submitted = executor.submit(burn, a=1, b=2)
            submitted.result()
        function = pronk.inherit(burn)
    inheriting.start()
    inheriting.join()
    function(a=1)
    burn()


def snapshots():
    with pronk.label(a=1):
        snapshot = pronk.snapshot()
        with pronk.label(a=2, b=2):
            snapshot.run(burn, a=1, b=2)
    burn()
    snapshot.run(burn, a=1)
    burn()


def many_threads():
    def work(number):
        for _ in range(3):
            with pronk.label(thread=number):
                burn(thread=number)
            burn()

    all_threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    [thread.start() for thread in all_threads]
    [thread.join() for thread in all_threads]


def generators_between_threads():
    generator = counting("g")
    next(generator)

    def go_on():
        next(generator)
        burn()

    thread = threading.Thread(target=go_on)
    with pronk.label(a=1):
        thread.start()
        thread.join()
        burn(a=1)
    burn()


def forks():
    with pronk.label(a=1):
        child = os.fork()
        if child == 0:
            burn(a=1)
            with pronk.label(child=1):
                burn(a=1, child=1)
            burn(a=1)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        burn(a=1)


SYNCHRONOUS = [
    blocks, values, recursion, one_label_many_times, exceptions, exit_stacks, generators, generators_that_are_ended, delegation,
    decorated, threads, snapshots, many_threads, generators_between_threads,
]
ASYNCHRONOUS = [awaits, tasks, generations, cancellation, callbacks, eager]


def main(seconds):
    until = time.monotonic() + seconds
    forks()
    while True:
        for scenario in SYNCHRONOUS:
            scenario()
            burn()
        for scenario in ASYNCHRONOUS:
            asyncio.run(scenario())
            burn()
        if time.monotonic() > until:
            break


main(float(sys.argv[1]))
