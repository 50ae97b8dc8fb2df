"""Calls each kind of callable a known number of times, and prints how often the evaluator is entered for each.

A body that runs, or a stretch of it, is an entry. Since 3.11 a generator or coroutine is also made by its own code.
"""

import asyncio
import functools
import json
import sys
import types

MADE = 1 if sys.version_info >= (3, 11) else 0

entries = {}


def plain():
    pass


for _ in range(1000):
    plain()
entries["plain"] = 1000


class Body:
    def method(self):
        pass

    @classmethod
    def of_class(cls):
        pass

    @staticmethod
    def static():
        pass

    @property
    def attribute(self):
        return 1

    def __call__(self):
        pass

    def __getitem__(self, key):
        return key


entries["Body"] = 1
thing = Body()
for _ in range(200):
    thing.method()
    Body.of_class()
    thing.static()
    thing.attribute
    thing()
    thing[1]
for name in ["method", "of_class", "static", "attribute", "__call__", "__getitem__"]:
    entries[name] = 200


class Made:
    def __init__(self):
        self.value = 1


def make(times):
    for _ in range(times):
        Made()


make(500)
entries["__init__"] = 500


def outer():
    value = 1

    def closure():
        return value

    return closure


for _ in range(30):
    outer()()
entries["outer"] = entries["closure"] = 30

twice = lambda value: value * 2  # noqa: E731
for _ in range(40):
    twice(1)
entries["<lambda>"] = 40


def comprehends():
    return [value for value in range(3)]


for _ in range(20):
    comprehends()
entries["comprehends"] = 20
# Since 3.12 a comprehension is part of the function that it is in (PEP 709).
entries["<listcomp>"] = 20 if sys.version_info < (3, 12) else 0


def recursive(depth):
    if depth:
        recursive(depth - 1)


for _ in range(10):
    recursive(50)
entries["recursive"] = 510


def decorate(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


@decorate
def decorated(value):
    return value


for _ in range(30):
    decorated(1)
entries["decorate"] = 1
entries["wrapper"] = entries["decorated"] = 30


def key(value):
    return -value


def mapped(value):
    return value


def partial(first, second):
    pass


sorted(range(100), key=key)
list(map(mapped, range(60)))
for _ in range(50):
    functools.partial(partial, 1)(2)
entries["key"], entries["mapped"], entries["partial"] = 100, 60, 50


def raises():
    raise ValueError


for _ in range(7):
    try:
        raises()
    except ValueError:
        pass
entries["raises"] = 7


def generator(count):
    for value in range(count):
        yield value


for _ in range(10):
    list(generator(3))
entries["generator"] = 10 * (4 + MADE)

for _ in range(10):
    sum(value for value in range(5))
entries["<genexpr>"] = 10 * (6 + MADE)


def catches():
    try:
        yield 1
    except ValueError:
        yield 2


for _ in range(10):
    thrown = catches()
    next(thrown)
    thrown.throw(ValueError())
    next(thrown, None)
entries["catches"] = 10 * (3 + MADE)


@types.coroutine
def pause():
    yield


async def coroutine():
    await pause()
    await pause()


async def many_values():
    yield 1
    yield 2


async def consumes():
    async for _ in many_values():
        pass


def drive(made):
    """Runs a coroutine to its end, and returns how often it went on."""
    times = 0
    try:
        while True:
            times += 1
            made.send(None)
    except StopIteration:
        return times


for _ in range(10):
    assert drive(coroutine()) == 3
    assert drive(consumes()) == 1
entries["drive"] = 20
entries["coroutine"] = 10 * (3 + MADE)
entries["pause"] = 10 * 2 * (2 + MADE)
entries["many_values"] = 10 * (3 + MADE)
entries["consumes"] = 10 * (1 + MADE)


async def task():
    await asyncio.sleep(0)


async def run_tasks():
    for _ in range(50):
        await asyncio.create_task(task())


asyncio.run(run_tasks())
entries["task"] = 50 * (2 + MADE)

print(json.dumps(entries))
