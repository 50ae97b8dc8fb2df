"""Samples are taken in the middle of asyncio's import, where `asyncio.tasks._current_tasks` is not yet the one that is used."""

import builtins
import sys
import time

SECONDS = float(sys.argv[1])
import_at_once = builtins.__import__


def import_slowly(name, scope=None, variables=None, names=None, level=0):
    """Burns time where asyncio.tasks exchanges the dictionary that it has made for that of the module that is written in C."""
    if name == "_asyncio" and "_current_tasks" in (names or ()):
        start = time.thread_time()
        while time.thread_time() - start < SECONDS:
            pass
    return import_at_once(name, scope, variables, names, level)


builtins.__import__ = import_slowly
import asyncio

from burning import burner


async def work():
    asyncio.current_task().set_name("worker")
    burner("task__worker", SECONDS)()


asyncio.run(work())
