"""Labels for the samples of the profiler pronk: for whom a program works.

    import pronk

    with pronk.label(request="checkout", user=42):
        ...

A program that `pronk record` has started finds the module `_pronk`, which does the work. In any other the same calls do
next to nothing.
"""

import functools
import inspect
import sys
import weakref

try:
    from _pronk import label, labels, task
except ImportError:
    from pronk._nothing import label, labels, task
else:
    import contextlib
    import _pronk

    # An ExitStack enters blocks for the function that has it.
    _pronk.pass_over(contextlib.__dict__)
    del contextlib, _pronk

__all__ = [
    "Snapshot", "inherit", "label", "labeled", "labels", "set_task_name", "snapshot", "task", "trio_instrument",
]


def labeled(**values):
    """A decorator: all that the function does has these labels."""

    def decorate(function):
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args, **kwargs):
                with label(**values):
                    return await function(*args, **kwargs)

        elif inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def wrapper(*args, **kwargs):
                generator = function(*args, **kwargs)
                sent = None
                step = generator.asend
                try:
                    while True:
                        try:
                            with label(**values):
                                item = await step(sent)
                        except StopAsyncIteration:
                            return
                        try:
                            sent, step = (yield item), generator.asend
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            sent, step = error, generator.athrow
                finally:
                    with label(**values):
                        await generator.aclose()

        elif inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                with label(**values):
                    return (yield from function(*args, **kwargs))

        else:

            @functools.wraps(function)
            def wrapper(*args, **kwargs):
                with label(**values):
                    return function(*args, **kwargs)

        return wrapper

    return decorate


class Snapshot:
    """The labels of a moment, to be carried elsewhere: into a thread, a callback, another loop."""

    __slots__ = ("_labels",)

    def __init__(self):
        self._labels = labels()

    def run(self, function, *args, **kwargs):
        """Calls the function with these labels, and returns what it returns."""
        with label(**self._labels):
            return function(*args, **kwargs)


def snapshot():
    """The labels that there are now."""
    return Snapshot()


def inherit(target):
    """Has a thread, an executor, or a function go on with the labels of now.

    A `threading.Thread` that has not started runs with the labels that there are now, and is returned. An executor runs
    each call with the labels that there are when it is submitted, from now on, and is returned. For any other callable
    there comes one back that calls it with the labels that there are now.
    """
    if hasattr(target, "submit"):
        submit = target.submit

        def submit_with_labels(function, /, *args, **kwargs):
            return submit(Snapshot().run, function, *args, **kwargs)

        target.submit = submit_with_labels
        return target
    if hasattr(target, "run") and hasattr(target, "start"):
        target.run = functools.partial(Snapshot().run, target.run)
        return target
    return functools.partial(Snapshot().run, target)


def set_task_name(name):
    """Names the task that runs: of asyncio, or of trio. Without one it does nothing."""
    asyncio = sys.modules.get("asyncio")
    trio = sys.modules.get("trio")
    try:
        current = asyncio and asyncio.current_task()
    except RuntimeError:
        current = None
    if current is not None:
        current.set_name(name)
        return
    try:
        current = trio and trio.lowlevel.current_task()
    except RuntimeError:
        current = None
    if current is not None:
        current.name = name
        _name_trio_task(current)


#: What names each task of trio, by the task, as long as it lives.
_trio_tasks = weakref.WeakKeyDictionary()


def _name_trio_task(current):
    before = _trio_tasks.pop(current, None)
    if before is not None:
        before.__exit__(None, None, None)
    _trio_tasks[current] = task(str(current.name), current.coro)


def trio_instrument():
    """An instrument for `trio.run`, with which samples know the tasks of trio by their names.

    trio.run(main, instruments=[pronk.trio_instrument()])
    """
    import trio

    class Tasks(trio.abc.Instrument):
        def task_spawned(self, task):
            _name_trio_task(task)

        def task_exited(self, task):
            named = _trio_tasks.pop(task, None)
            if named is not None:
                named.__exit__(None, None, None)

    return Tasks()
