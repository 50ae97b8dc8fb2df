"""Arguments that are labels, where each function that burns time says in its name which labels its samples have."""

import asyncio
import os
import sys
import threading

import pronk
from burning import burner

SECONDS = float(sys.argv[1])


def burn(**labels):
    burner("must" + "".join(f"__{key}_{value}" for key, value in sorted(labels.items())), SECONDS)()


class Request:
    """With attributes of its own, and some that are not read."""

    kind = "http"

    def __init__(self, path, number=1):
        self.path = path
        self.number = number

    @property
    def computed(self):
        return "computed"

    def method(self):
        return "method"


class Derived(Request):
    def __init__(self, path):
        super().__init__(path)
        self.own = "own"


class Slotted:
    __slots__ = ("path", "unset")

    def __init__(self, path):
        self.path = path


class DerivedSlots(Slotted):
    __slots__ = ("more",)


class Outer:
    def __init__(self, inner):
        self.inner = inner


class ManyAttributes:
    def __init__(self, path):
        for number in range(50):
            setattr(self, f"attribute_{number}", number)
        self.path = path


def plain(value):
    burn(value=value)


def others(value):
    # What is neither a text nor a whole number is no label.
    burn()


def handle(request):
    burn(path="p")
    burn(path="p")


def no_path(request):
    burn()


def positions(first, /, second, *rest, third, fourth=4, **more):
    local = "local"
    burn(first=1, fourth=4, second=2, third=3)
    return local


def captured(request, text):
    def inner():
        return request, text

    burn(path="c", text="t")
    inner()
    burn(path="c", text="t")


def recursive(depth):
    burn(depth=depth)
    if depth:
        recursive(depth - 1)
        burn(depth=depth)


def rebound(value):
    burn(value="before")
    value = "after"
    burn(value="after")
    del value
    burn()


def two(a, b):
    burn(a=1, both=2)


def outer():
    def inner(value):
        burn(value=value)

    return inner


def generator(value):
    burn(value=value)
    yield
    burn(value=value)
    yield


def decorated(function):
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


@decorated
def wrapped(value):
    burn(value=value)


def around(key):
    # Of a block and an argument the inner one counts.
    burn(key="argument")
    with pronk.label(key="block", more="x"):
        burn(key="block", more="x")
        within()
    burn(key="argument")


def within():
    with pronk.label(key="inner"):
        around_again("innermost")


def around_again(key):
    burn(key=key, more="x")


class Handler:
    name = "of the class"

    def __init__(self, name):
        self.name = name

    def get(self):
        burn(name=self.name)
        self.other()

    def other(self):
        # Another method of the same object has no label of its own, but is called by the one that has.
        burn(name=self.name)

    def unlabelled(self):
        burn()

    @classmethod
    def make(cls):
        burn(made="made")

    made = "made"


class Inheriting(Handler):
    pass


class Server:
    async def handle(self, request):
        burn(path=request.path)
        await asyncio.sleep(0)
        burn(path=request.path)
        # A task has no frame of who made it.
        await asyncio.create_task(in_a_task())
        await self.further(request)

    async def further(self, request):
        await asyncio.sleep(0)
        burn(path=request.path)


async def in_a_task():
    burn()


async def serve():
    burn()
    await asyncio.gather(*(Server().handle(Request(f"r{number}")) for number in range(3)))
    burn()


def simple():
    burn()
    for value in ["text", 42, 2**40]:
        plain(value)
        burn()
    for value in [None, True, 1.5, b"bytes", [1], object()]:
        others(value)
    positions(1, 2, 5, 6, third=3, x=7)
    captured(Request("c"), "t")
    recursive(3)
    rebound("before")
    two(1, 2)
    outer()("inner")
    for _ in generator("suspended"):
        burn()
    child = os.fork()
    if child == 0:
        plain("child")
        os._exit(0)
    os.waitpid(child, 0)
    thread = threading.Thread(target=plain, args=("thread",))
    thread.start()
    thread.join()
    burn()


def attributes():
    handle(Request("p"))
    handle(Derived("p"))
    handle(Slotted("p"))
    handle(DerivedSlots("p"))
    handle(ManyAttributes("p"))
    changed = Request("p")
    changed.__dict__["added"] = 1
    handle(changed)
    changed = Request("q")
    changed.path = "p"
    del changed.number
    handle(changed)
    handle(Failure("p"))
    for value in [object(), Request("p").method, None, Slotted.__new__(Slotted), Request, 5, "text"]:
        no_path(value)
    chained(Outer(Outer(Slotted("deep"))))
    of_class(Derived("p"))
    properties(Request("p"))
    wrapped("wrapped")
    around("argument")
    Handler("h").get()
    Handler("h").unlabelled()
    Inheriting("i").get()
    sys.setrecursionlimit(10000)
    deeper(Slotted("deep"), 1500)
    Handler.make()
    Inheriting.make()
    asyncio.run(serve())
    burn()


def deep(depth):
    """On many more frames than are looked at anew for each sample."""
    if depth:
        deep(depth - 1)
    if depth and depth % 250 == 0:
        burn(depth=depth, path="deep")


def deeper(request, depth):
    deep(depth)
    if depth:
        down(depth)
    burn(path=request.path)


def down(depth):
    if depth:
        down(depth - 1)
    else:
        # What has a label hides for a while what has it far below.
        deeper(Slotted("inner"), 0)
        burn(path="deep")


class Failure(Exception):
    def __init__(self, path):
        super().__init__(path)
        self.path = path


def chained(outer):
    burn(path="deep")


def of_class(request):
    burn(kind="http")


def properties(request):
    # Properties and methods are code.
    burn()


{"simple": simple, "attributes": attributes}[sys.argv[2]]()
