"""Two trees of functions that never mix, which call and return as fast as they can.

Every legal stack is known: the functions of a tree have its letter in their names, and EDGES says which calls which.
"""

import json
import sys
import threading
import time

TREE = '''
class Thing{T}:
    def __init__(self, number):
        self.number = number
        leaf_{T}(1)

    def method_{T}(self, number):
        return pair_{T}(number)

    @property
    def property_{T}(self):
        return pair_{T}(2)

    def __lt__(self, other):
        return less_{T}(self.number, other.number)

    def __del__(self):
        gone_{T}()


def gone_{T}():
    return 1

def less_{T}(one, other):
    return one < other

def leaf_{T}(number):
    return number + 1

def pair_{T}(number):
    return leaf_{T}(number) + leaf_{T}(number)

def uses_{T}(number):
    return pair_{T}(number) + Thing{T}(number).method_{T}(number) + Thing{T}(number).property_{T}

def numbers_{T}(count):
    for number in range(count):
        yield leaf_{T}(number)

def delegates_{T}(count):
    yield from numbers_{T}(count)

def key_{T}(number):
    return leaf_{T}(-number)

def fails_{T}(levels):
    if levels == 0:
        raise ValueError
    return fails_{T}(levels - 1)

async def awaits_{T}(number):
    return await awaited_{T}(number)

async def awaited_{T}(number):
    return leaf_{T}(number)

def top_{T}():
    uses_{T}(3)
    sum(delegates_{T}(4))
    for number in numbers_{T}(3):
        pair_{T}(number)
    sorted([3, 1, 2], key=key_{T})
    sorted([Thing{T}(2), Thing{T}(1)])
    try:
        fails_{T}(3)
    except ValueError:
        pass
    coroutine = awaits_{T}(2)
    try:
        coroutine.send(None)
    except StopIteration:
        pass
'''

# Which functions each function of a tree calls, without the tree's letter.
EDGES = {
    "top": ["uses", "delegates", "numbers", "pair", "key", "__init__", "__lt__", "__del__", "fails", "awaits"],
    "uses": ["pair", "__init__", "method", "property", "__del__"],
    "method": ["pair"],
    "property": ["pair"],
    "pair": ["leaf"],
    "__init__": ["leaf"],
    "__lt__": ["less"],
    "__del__": ["gone"],
    "delegates": ["numbers"],
    "numbers": ["leaf"],
    "key": ["leaf"],
    "fails": ["fails"],
    "awaits": ["awaited"],
    "awaited": ["leaf"],
}

functions = {}
for letter in "AB":
    exec(compile(TREE.replace("{T}", letter), f"tree{letter}.py", "exec"), functions)
tops = [functions["top_A"], functions["top_B"]]


def turns(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        for _ in range(20):
            for top in tops:
                top()


def in_threads(seconds):
    threads = [threading.Thread(target=turns, args=(seconds / 3,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def in_tasks(seconds):
    import asyncio

    async def task(top, end):
        while time.thread_time() < end:
            for _ in range(5):
                top()
            await asyncio.sleep(0)

    async def all_tasks():
        end = time.thread_time() + seconds
        await asyncio.gather(*(task(top, end) for _ in range(5) for top in tops))

    asyncio.run(all_tasks())


def in_greenlets(seconds):
    import greenlet

    end = time.thread_time() + seconds
    hub = greenlet.getcurrent()

    def task(top):
        while time.thread_time() < end:
            for _ in range(3):
                top()
            hub.switch()

    tasks = [greenlet.greenlet(lambda top=top: task(top)) for _ in range(4) for top in tops]
    while tasks:
        for one in tasks:
            one.switch()
        tasks = [one for one in tasks if not one.dead]


def in_unknown_greenlets(seconds):
    """The library that exchanges stacks has a name that nobody knows it by."""
    import glob
    import importlib.machinery
    import importlib.util
    import shutil
    import tempfile

    name = "greenlet._greenlet"
    [directory] = importlib.util.find_spec("greenlet").submodule_search_locations
    [library] = glob.glob(f"{directory}/_greenlet.*.so")
    with tempfile.TemporaryDirectory() as place:
        copy = shutil.copy(library, f"{place}/exchanges.so")
        loader = importlib.machinery.ExtensionFileLoader(name, copy)
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
        sys.modules[name] = module
        loader.exec_module(module)
    in_greenlets(seconds)


def in_gevent(seconds):
    import gevent

    end = time.thread_time() + seconds

    def task(top):
        while time.thread_time() < end:
            for _ in range(3):
                top()
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(task, top) for _ in range(4) for top in tops])


WAYS = {
    "plain": turns,
    "threads": in_threads,
    "tasks": in_tasks,
    "greenlets": in_greenlets,
    "unknown greenlets": in_unknown_greenlets,
    "gevent": in_gevent,
}
WAYS[sys.argv[1]](float(sys.argv[2]))
print(json.dumps(EDGES))
