"""Tasks that await each other in all ways, where each function that burns time says in its name which functions must be
above it: `chain__to__parent__to__child` is run by `child`, which `parent` awaits, and nothing else.
"""

import asyncio
import sys
import threading
import time
import types

from burning import burner

SECONDS = float(sys.argv[2])


def burn(chain):
    """Burns time, in a function whose name says which functions must be above it."""
    burner("__to__".join(("chain",) + chain), SECONDS)()


def task(coroutine):
    return asyncio.get_running_loop().create_task(coroutine)


async def leaf(above):
    """Burns time in two steps, as somebody awaits it."""
    burn(above + ("leaf",))
    await deeper(above + ("leaf",))
    await asyncio.sleep(0)
    burn(above + ("leaf",))


async def deeper(above):
    burn(above + ("deeper",))
    await asyncio.sleep(0)
    burn(above + ("deeper",))


# One task.


async def coroutines(above=()):
    above += ("coroutines",)
    burn(above)
    await leaf(above)


# Tasks that are awaited as they are.


async def three_deep(above=()):
    above += ("three_deep",)
    await task(second(above))
    burn(above)


async def second(above):
    above += ("second",)
    await inner(above)


async def inner(above):
    above += ("inner",)
    await task(third(above))
    burn(above)


async def third(above):
    above += ("third",)
    await task(leaf(above))


async def already_running(above=()):
    """A task is awaited that runs already: the first of its steps nothing awaits."""
    above += ("already_running",)
    child = task(steps([(), above]))
    await asyncio.sleep(0)
    await child


async def steps(chains):
    for chain in chains:
        burn(chain + ("steps",))
        await asyncio.sleep(0)


# What asyncio puts between a task and who awaits it.


async def gathering(above=()):
    above += ("gathering",)
    await asyncio.gather(task(leaf(above)), leaf(above), task(leaf(above)))
    await asyncio.gather(asyncio.gather(leaf(above), leaf(above)), leaf(above))


async def shielding(above=()):
    above += ("shielding",)
    await asyncio.shield(leaf(above))
    await asyncio.shield(asyncio.shield(task(leaf(above))))
    await asyncio.gather(asyncio.shield(leaf(above)))


async def waiting_for(above=()):
    above += ("waiting_for",)
    await asyncio.wait_for(leaf(above), 60)
    await asyncio.wait_for(task(leaf(above)), 60)
    await asyncio.wait_for(leaf(above), None)
    await asyncio.wait_for(asyncio.gather(leaf(above)), 60)


async def waiting(above=()):
    above += ("waiting",)
    await asyncio.wait([task(leaf(above)), task(leaf(above))])
    await asyncio.wait([task(steps([above, above])), task(leaf(above))], timeout=60)


async def failing(above=()):
    """What is gathered goes on when another one has failed, and once that is known, nothing awaits it any more."""
    above += ("failing",)

    async def fail():
        burn(above + ("fail",))
        raise ValueError

    other = task(steps([above, above, (), ()]))
    try:
        await asyncio.gather(task(fail()), other)
    except ValueError:
        pass
    while not other.done():
        await asyncio.sleep(0)


async def cancelling(above=()):
    above += ("cancelling",)

    async def cancelled():
        try:
            await asyncio.sleep(60)
        finally:
            burn(above + ("cancelled",))

    child = task(cancelled())
    await asyncio.sleep(0)
    child.cancel()
    try:
        await child
    except asyncio.CancelledError:
        burn(above)


async def groups(above=()):
    if not hasattr(asyncio, "TaskGroup"):
        return
    above += ("groups",)
    async with asyncio.TaskGroup() as group:
        # While the body goes on, it awaits something else.
        group.create_task(steps([(), above, above]))
        await asyncio.sleep(0)
        burn(above)
    async with OwnGroup() as group:
        group.create_task(leaf(above))
        group.create_task(nested(above))


async def nested(above):
    above += ("nested",)
    async with asyncio.TaskGroup() as group:
        group.create_task(leaf(above))


if hasattr(asyncio, "TaskGroup"):

    class OwnGroup(asyncio.TaskGroup):
        def __init__(self):
            super().__init__()
            self.others = {}


# Several that await one: the first is taken.


async def several(above=()):
    above += ("several",)
    by_first = above + ("first",)
    shared = task(steps([(), by_first, by_first]))
    await asyncio.gather(first(shared), another(shared), another(shared))


async def first(shared):
    await shared


async def another(shared):
    await shared


# What waits in other ways than by coroutines.


async def generators(above=()):
    above += ("generators",)
    async for _ in asynchronous(above):
        pass
    async for _ in asynchronous(above).__aiter__():
        pass
    await Awaitable(above)
    await based_on_generator(above)


async def asynchronous(above):
    above += ("asynchronous",)
    await task(leaf(above))
    yield
    await asyncio.gather(leaf(above))


class Awaitable:
    def __init__(self, above):
        self.above = above + ("__await__",)

    def __await__(self):
        yield from task(leaf(self.above)).__await__()
        return (yield from deep_coroutine(self.above).__await__())


async def deep_coroutine(above):
    await task(leaf(above + ("deep_coroutine",)))


@types.coroutine
def based_on_generator(above):
    yield from task(leaf(above + ("based_on_generator",)))


# Nothing awaits these, as far as can be known.


async def in_background(above=()):
    child = task(leaf(()))
    while not child.done():
        burn(("in_background",))
        await asyncio.sleep(0)


async def by_hand(above=()):
    """What a program itself calls back says nothing of who waits."""
    done = asyncio.get_running_loop().create_future()
    child = task(leaf(()))
    child.add_done_callback(lambda _: done.set_result(None))
    await done


async def as_completed(above=()):
    for each in asyncio.as_completed([task(leaf(())), task(leaf(()))]):
        await each


async def too_deep(above=()):
    await recurse(30, above + ("too_deep",))
    # That many frames are not recorded: what they await begins anew.
    await recurse(300, None)


async def recurse(depth, above):
    above = above if above is None else above + ("recurse",)
    if depth:
        await recurse(depth - 1, above)
    else:
        await task(leaf(above or ()))


async def many_deep(above=()):
    """Of more tasks that await each other than are followed, the nearest are there."""
    await link(20, ())


async def link(left, above):
    if left:
        await task(link(left - 1, above))
    else:
        burn(("link",) * 17)


async def circle(above=()):
    """Two tasks that wait for each other: the nearest are there, each once."""
    this = asyncio.current_task()

    async def back():
        await asyncio.shield(this)

    other = task(back())
    child = task(steps([("back", "circle"), ("back", "circle")]))
    child.add_done_callback(lambda _: other.cancel())
    try:
        await asyncio.gather(child, other)
    except asyncio.CancelledError:
        pass


# Tasks of other classes.


class OwnTask(asyncio.Task):
    """A class that derives from the one that is written in C."""

    def __init__(self, *arguments, **options):
        self.first = object()
        super().__init__(*arguments, **options)


async def with_factory(make, coroutine):
    loop = asyncio.get_running_loop()
    loop.set_task_factory(make)
    await coroutine
    loop.set_task_factory(None)


async def own_tasks(above=()):
    above += ("own_tasks",)
    make = lambda loop, coroutine, **options: OwnTask(coroutine, loop=loop, **options)
    await with_factory(make, own_parent(("own_tasks", "with_factory")))


async def own_parent(above):
    above += ("own_parent",)
    await task(leaf(above))
    await asyncio.gather(own_child(above), leaf(above))
    await asyncio.wait_for(leaf(above), 60)


async def own_child(above):
    above += ("own_child",)
    await task(leaf(above))


async def python_tasks(above=()):
    """Of tasks that are written in Python it is not known what awaits them."""
    make = lambda loop, coroutine, **options: asyncio.tasks._PyTask(coroutine, loop=loop, **options)
    await with_factory(make, python_parent())


async def python_parent():
    loop = asyncio.get_running_loop()
    await task(leaf(()))
    await task(python_child(loop))
    above = ("python_tasks", "with_factory", "python_parent")
    await asyncio.gather(leaf(()), asyncio.Task(leaf(above), loop=loop))


async def python_child(loop):
    burn(("python_child",))
    await asyncio.Task(leaf(()), loop=loop)


async def eager(above=()):
    if not hasattr(asyncio, "eager_task_factory"):
        return
    above += ("eager",)
    loop = asyncio.get_running_loop()
    # Its first step is run by who makes it, and awaited by nobody.
    await asyncio.Task(steps([(), above, above]), loop=loop, eager_start=True)
    children = [asyncio.Task(steps([(), above]), loop=loop, eager_start=True) for _ in range(2)]
    await asyncio.gather(*children)


# All of it.

SCENARIOS = [
    coroutines,
    three_deep,
    already_running,
    gathering,
    shielding,
    waiting_for,
    waiting,
    failing,
    cancelling,
    groups,
    several,
    generators,
    in_background,
    by_hand,
    as_completed,
    too_deep,
    many_deep,
    circle,
    own_tasks,
    python_tasks,
    eager,
]


async def together(above=()):
    """Tasks of several scenarios between each other."""
    above += ("together",)
    await asyncio.gather(three_deep(above), gathering(above), waiting(above), generators(above))


def all_of_it():
    for scenario in SCENARIOS + [together]:
        asyncio.run(scenario())


def main(seconds):
    until = time.monotonic() + seconds
    while True:
        all_of_it()
        threads = [threading.Thread(target=all_of_it) for _ in range(2)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        if time.monotonic() > until:
            break


main(float(sys.argv[1]))
