"""Coroutines and asynchronous generators."""

import asyncio
import contextlib
import types

from notes import made, passed, run, scenario, thrown

AWAITING = "coroutine that awaits"
AWAITED = "coroutine that is awaited"
AWAIT = "__await__"
CANCELLED = "coroutine that is cancelled"
CANCELLED_OUTER = "coroutine above a cancelled one"
OF_TYPES = "types.coroutine"
TASK = "task"
GENERATOR = "async generator"
CLOSED = "async generator closed"
MANAGER = "asynccontextmanager"
COMPREHENSION = "async comprehension"
FOR = "coroutine with async for"
WITH = "coroutine with async with"
AENTER = "__aenter__"
AEXIT = "__aexit__"
ANEXT = "__anext__"


class Pause:
    """Suspends a coroutine without the help of an event loop."""

    def __await__(self):
        run("__await__")
        yield
        run("__await__")


def drive(coroutine):
    while True:
        try:
            coroutine.send(None)
        except StopIteration:
            return


async def awaited():
    run("coroutine that is awaited")
    made(AWAIT)
    await Pause()
    passed(AWAITED)
    passed(AWAITING)


async def awaiting():
    run("coroutine that awaits")
    made(AWAITED)
    await awaited()


@scenario
def await_coroutine():
    made(AWAITING)
    drive(awaiting())


async def cancelled_inner():
    run("coroutine that is cancelled")
    try:
        made(AWAIT)
        await Pause()
    except asyncio.CancelledError:
        # The frame of cancelled_outer is below this one, but is not evaluated.
        run("coroutine that is cancelled")
        thrown(CANCELLED_OUTER)


async def cancelled_outer():
    run("coroutine above a cancelled one")
    made(CANCELLED)
    await cancelled_inner()
    run("coroutine above a cancelled one")


@scenario
def cancel():
    made(CANCELLED_OUTER)
    suspended = cancelled_outer()
    suspended.send(None)
    passed(AWAIT)  # It does not handle the exception.
    try:
        suspended.throw(asyncio.CancelledError())
    except StopIteration:
        pass


@types.coroutine
def coroutine_of_types():
    run("types.coroutine")
    yield
    run("types.coroutine")


async def await_generator():
    made(OF_TYPES)
    await coroutine_of_types()


@scenario
def await_coroutine_of_types():
    drive(await_generator())


async def task():
    run("task")
    await asyncio.sleep(0)
    run("task")


@scenario
def run_task():
    async def main():
        made(TASK)
        made(TASK)
        await asyncio.gather(task(), asyncio.create_task(task()))

    asyncio.run(main())


async def async_generator():
    run("async generator")
    yield 1
    run("async generator")
    yield 2
    run("async generator")


async def async_for():
    run("coroutine with async for")
    made(GENERATOR)
    async for _ in async_generator():
        pass


@scenario
def iterate_async_generator():
    made(FOR)
    drive(async_for())


async def handling_close():
    run("async generator closed")
    try:
        yield
    finally:
        run("async generator closed")


async def close_generator():
    made(CLOSED)
    generator = handling_close()
    await generator.asend(None)
    await generator.aclose()


@scenario
def close_async_generator():
    drive(close_generator())


@contextlib.asynccontextmanager
async def manager():
    run("asynccontextmanager")
    try:
        yield
    except ValueError:
        run("asynccontextmanager")


async def raise_in_manager():
    made(MANAGER)
    async with manager():
        raise ValueError


@scenario
def use_async_manager():
    drive(raise_in_manager())


async def numbers():
    yield 1


async def comprehend():
    # Up to 3.11 the comprehension is a coroutine of its own. From 3.12 on it is part of `comprehend`.
    made(COMPREHENSION)
    [run("async comprehension") async for _ in numbers()]


@scenario
def comprehend_asynchronously():
    drive(comprehend())


class AsyncThings:
    left = 2

    def __aiter__(self):
        run("__aiter__")
        return self

    async def __anext__(self):
        run("__anext__")
        self.left -= 1
        if not self.left:
            raise StopAsyncIteration

    async def __aenter__(self):
        run("__aenter__")

    async def __aexit__(self, *raised):
        run("__aexit__")


async def async_with():
    run("coroutine with async with")
    made(AENTER)
    async with AsyncThings() as _:
        pass
    made(AEXIT)
    made(ANEXT)
    made(ANEXT)
    async for _ in AsyncThings():
        pass


@scenario
def use_async_dunders():
    made(WITH)
    drive(async_with())
