"""Calls of every kind, in known proportions; prints the stacks as the interpreter itself tells them.

    stubs.py SECONDS

The output is JSON: CPU time in nanoseconds, by names from the root, joined by `;`. Nothing else in the program takes time.
"""

import json
import sys
import time
from collections import Counter

used = Counter()


def burn(budget):
    names, frame = [], sys._getframe(0)
    while frame is not None:
        names.insert(0, frame.f_code.co_name)
        frame = frame.f_back
    start = now = time.thread_time_ns()
    while now - start < budget:
        for _ in range(5000):
            pass
        now = time.thread_time_ns()
    used[";".join(names)] += now - start


class Made:
    def __init__(self, budget):
        burn(budget)


class Derived(Made):
    def __init__(self, budget):
        super().__init__(budget)

    @property
    def twice(self):
        return burn(self.budget)

    def __call__(self, budget):
        burn(budget)

    def __enter__(self):
        burn(self.budget)

    def __exit__(self, *_):
        burn(self.budget)


class Thrown(Exception):
    pass


class Pause:
    def __await__(self):
        try:
            yield
        except Thrown as thrown:
            burn(thrown.args[0])


async def inner():
    await Pause()


async def outer():
    await inner()


def throw_into_coroutine(budget):
    coroutine = outer()
    coroutine.send(None)
    try:
        coroutine.throw(Thrown(budget))
    except StopIteration:
        pass


def throw_into_generator(budget):
    def catch():
        try:
            yield
        except Thrown as thrown:
            burn(thrown.args[0])
            yield

    def delegate():
        yield from catch()

    generator = delegate()
    next(generator)
    generator.throw(Thrown(budget))


def make(budget):
    Made(budget)


def make_derived(budget):
    made = Derived(budget)
    made.budget = budget // 4
    made.twice
    made(budget)
    with made:
        pass


def generate(budget):
    yield burn(budget)


def comprehend(budget):
    [burn(one) for one in [budget]]
    list(burn(one) for one in [budget])


def anonymous(budget):
    (lambda: burn(budget))()


def executed(budget):
    exec("burn(budget)", {"burn": burn, "budget": budget})


def defined(budget):
    class Body:
        burn(budget)


def keywords(*budgets, **named):
    burn(budgets[0])
    burn(named["budget"])


def iterate(budget):
    for _ in generate(budget):
        pass


def spread(budget):
    keywords(*[budget], **{"budget": budget})
    return list(map(burn, [budget]))


WORK = [
    make, make_derived, throw_into_coroutine, throw_into_generator, iterate, comprehend, anonymous, executed, defined, spread,
]


def main(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        for work in WORK:
            work(1_300_000)


main(float(sys.argv[1]))
print(json.dumps(used))
