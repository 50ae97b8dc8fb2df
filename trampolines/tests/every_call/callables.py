"""Calls every kind of Python callable, and says how often the evaluator must have been entered for each.

The truth does not come from the evaluator: each callable notes its own runs. A *run* is one stretch of a callable's
body, from where it is entered to where it returns, raises or is suspended; the body notes it itself with `run(label)`.
What no body can note is noted by whoever causes it:

    made(label)     a generator, coroutine or asynchronous generator was made; none of its body has run yet
    passed(label)   a frame was entered, but only to pass a value or an exception on to the one that it awaits, or
                    to find that its loop is over, or to be closed: none of its body has run
    closed(label)   a suspended frame without a handler was closed: there is nothing to run
    thrown(label)   an exception was thrown into a frame that awaits another, which handled it

Standard output gets a line for each label: the label, the numbers of runs, made, passed, closed and thrown, then the
file, the first line and the name of the code object, all separated by tabs. The test next door says what these
numbers mean on each version of CPython.

A scenario is a function that does one thing. Each is called a different number of times, all large enough for the
interpreter to specialize and inline what it can.
"""

import sys

sys.setswitchinterval(10)  # The script does not depend on it; it only keeps the runs alike.

import asyncio
import builtins
import collections
import contextlib
import copy
import ctypes
import functools
import gc
import importlib
import pickle
import signal
import threading
import types
import weakref

noted = {kind: [] for kind in ("run", "made", "passed", "closed", "thrown")}
# Methods of lists, so that noting is never a call of a Python function.
run, made, passed, closed, thrown = (notes.append for notes in noted.values())
builtins.run = run

scenarios = []
scenario = scenarios.append

# Labels that others than their own code note. A label written out, as in `run("function")`, is a constant of exactly
# one code object: by that the label's code is found.
GENERATOR = "generator"
EXHAUSTED = "generator expression"
CLOSED = "generator closed"
CLOSED_NEW = "generator closed before it began"
THROWN = "generator thrown into"
DELEGATING = "generator with yield from"
DELEGATED = "generator below yield from"
THROWN_OUTER = "generator with yield from, thrown into"
THROWN_INNER = "generator below yield from, thrown into"
AWAITING = "coroutine that awaits"
AWAITED = "coroutine that is awaited"
CANCELLED_OUTER = "coroutine above a cancelled one"
CANCELLED_INNER = "coroutine that is cancelled"
TASK = "task"
SENT = "generator sent to"
MANAGER = "contextmanager"
MANAGER_RAISED = "contextmanager with an exception"
ASYNC_GENERATOR = "async generator"
ASYNC_FOR = "coroutine with async for"
ASYNC_WITH = "coroutine with async with"
AENTER = "__aenter__"
AEXIT = "__aexit__"
AITER_NEXT = "__anext__"
AWAIT = "__await__"
ASYNC_COMPREHENSION = "async comprehension"
ASYNC_COMPREHENSION_OUTER = "coroutine with an async comprehension"
COROUTINE_OF_TYPES = "types.coroutine"


# Functions


def function():
    run("function")


@scenario
def call_function():
    function()
    for _ in range(3):
        function()


def all_parameters(first, /, second, third=3, *rest, keyword, default=None, **more):
    run("all kinds of parameters")
    return first, second, third, rest, keyword, default, more


@scenario
def call_with_all_parameters():
    all_parameters(1, 2, keyword=4)
    all_parameters(1, *(2, 3, 4), keyword=5, **{"other": 6})
    all_parameters(1, second=2, keyword=3, default=4)


def defaults(a, b=2, c=3):
    run("defaults")


@scenario
def call_with_defaults():
    defaults(1)
    defaults(1, c=4)


def keyword_only(*, key):
    run("keyword only")


@scenario
def call_with_keyword():
    keyword_only(key=1)


def recursive(n):
    run("recursion")
    return recursive(n - 1) if n else 0


@scenario
def call_recursive():
    recursive(7)


@scenario
def call_closure():
    free = 1

    def closure():
        run("closure")
        return free

    closure()


@scenario
def call_lambda():
    (lambda: run("lambda"))()


@functools.partial
def partial(argument=None):
    run("functools.partial")


@scenario
def call_partial():
    partial(1)


def decorator(wrapped):
    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        run("decorator's wrapper")
        return wrapped(*args, **kwargs)

    return wrapper


@decorator
def decorated():
    run("decorated function")


@scenario
def call_decorated():
    decorated()


@functools.lru_cache(maxsize=None)
def cached(n):
    run("functools.lru_cache")


@scenario
def call_cached():
    cached(len(noted["run"]))
    cached(len(noted["run"]) - 1)


@functools.singledispatch
def dispatched(argument):
    run("functools.singledispatch")


@scenario
def call_dispatched():
    dispatched(1)


# Callbacks from C


@scenario
def call_sort_key():
    def key(item):
        run("sort key")
        return -item

    sorted([1, 2, 3], key=key)
    max([1, 2], key=key)


@scenario
def call_map():
    list(map(lambda item: run("map"), [1, 2, 3, 4]))


@scenario
def call_filter():
    list(filter(lambda item: run("filter"), [1, 2, 3]))


@scenario
def call_reduce():
    functools.reduce(lambda a, b: run("functools.reduce"), [1, 2, 3, 4])


@scenario
def call_cmp_to_key():
    def compare(a, b):
        run("functools.cmp_to_key")
        return a - b

    sorted([1, 2], key=functools.cmp_to_key(compare))


@scenario
def call_iter_sentinel():
    values = [0, 1, 1]

    def take():
        run("iter() with a sentinel")
        return values.pop()

    list(iter(take, 0))


@scenario
def call_ctypes_callback():
    def callback():
        run("ctypes callback")
        return 0

    ctypes.CFUNCTYPE(ctypes.c_int)(callback)()


@scenario
def call_weakref_callback():
    target = Empty()
    reference = weakref.ref(target, lambda dead: run("weakref callback"))
    del target
    assert reference() is None


@scenario
def call_signal_handler():
    def handler(number, frame):
        run("signal handler")

    before = signal.signal(signal.SIGUSR1, handler)
    signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def traced():
    run("traced function")


@scenario
def call_trace_function():
    def tracer(frame, event, argument):
        run("trace function")
        return None

    sys.settrace(tracer)
    traced()
    sys.settrace(None)


@scenario
def call_profile_function():
    def profiler(frame, event, argument):
        run("profile function")

    sys.setprofile(profiler)
    traced()
    sys.setprofile(None)


# Classes and their methods


class Empty:
    pass


class Methods:
    def method(self):
        run("method")

    @classmethod
    def class_method(cls):
        run("classmethod")

    @staticmethod
    def static_method():
        run("staticmethod")


@scenario
def call_method():
    Methods().method()


@scenario
def call_bound_method():
    bound = Methods().method
    bound()


@scenario
def call_class_method():
    Methods.class_method()


@scenario
def call_static_method():
    Methods.static_method()


class Constructed:
    def __new__(cls, *args):
        run("__new__")
        return super().__new__(cls)

    def __init__(self, argument):
        run("__init__ after __new__")


@scenario
def construct_with_new():
    Constructed(1)


class Initialized:
    def __init__(self, argument):
        run("__init__")


@scenario
def construct():
    Initialized(1)


class Base:
    def __init__(self):
        run("__init__ through super()")

    def method(self):
        run("method through super()")


class Derived(Base):
    def __init__(self):
        run("__init__ that calls super()")
        super().__init__()

    def method(self):
        run("method that calls super()")
        super().method()


@scenario
def call_super():
    Derived().method()


class Finalized:
    def __del__(self):
        run("__del__")


@scenario
def finalize():
    Finalized()


class Meta(type):
    def __new__(mcs, name, bases, namespace):
        run("metaclass __new__")
        return super().__new__(mcs, name, bases, namespace)

    @classmethod
    def __prepare__(mcs, name, bases):
        run("metaclass __prepare__")
        return {}

    def __call__(cls):
        run("metaclass __call__")
        return super().__call__()

    def __instancecheck__(cls, instance):
        run("metaclass __instancecheck__")
        return True


@scenario
def make_class():
    class Made(metaclass=Meta):
        run("class body")

    Made()
    isinstance(1, Made)


class Announcing:
    def __init_subclass__(cls):
        run("__init_subclass__")

    def __class_getitem__(cls, item):
        run("__class_getitem__")


class Named:
    def __set_name__(self, owner, name):
        run("__set_name__")


@scenario
def make_subclass():
    type("Subclass", (Announcing,), {"attribute": Named()})
    Announcing[1]


class Properties:
    @property
    def value(self):
        run("property get")

    @value.setter
    def value(self, new):
        run("property set")

    @value.deleter
    def value(self):
        run("property delete")


@scenario
def use_property():
    holder = Properties()
    holder.value
    holder.value
    holder.value = 1
    del holder.value


class Descriptor:
    def __get__(self, instance, owner):
        run("descriptor __get__")

    def __set__(self, instance, value):
        run("descriptor __set__")

    def __delete__(self, instance):
        run("descriptor __delete__")


class Described:
    attribute = Descriptor()


@scenario
def use_descriptor():
    holder = Described()
    holder.attribute
    holder.attribute = 1
    del holder.attribute


class CachedProperty:
    @functools.cached_property
    def value(self):
        run("functools.cached_property")


@scenario
def use_cached_property():
    holder = CachedProperty()
    holder.value
    holder.value


class Attributes:
    def __getattr__(self, name):
        run("__getattr__")
        return None

    def __setattr__(self, name, value):
        run("__setattr__")

    def __delattr__(self, name):
        run("__delattr__")

    def __dir__(self):
        run("__dir__")
        return []


@scenario
def use_attributes():
    holder = Attributes()
    holder.absent
    getattr(holder, "absent")
    holder.absent = 1
    del holder.absent
    dir(holder)


class Intercepted:
    def __getattribute__(self, name):
        run("__getattribute__")
        return None


@scenario
def use_getattribute():
    Intercepted().anything


class Container:
    def __getitem__(self, index):
        run("__getitem__")
        return index

    def __setitem__(self, index, value):
        run("__setitem__")

    def __delitem__(self, index):
        run("__delitem__")

    def __contains__(self, item):
        run("__contains__")
        return True

    def __len__(self):
        run("__len__")
        return 1

    def __iter__(self):
        run("__iter__")
        return Iterator()

    def __reversed__(self):
        run("__reversed__")
        return ()


class Iterator:
    left = 3

    def __next__(self):
        run("__next__")
        if not self.left:
            raise StopIteration
        self.left -= 1


@scenario
def use_container():
    container = Container()
    container[1]
    container[2] = 3
    del container[4]
    5 in container
    len(container)
    for _ in container:
        pass
    reversed(container)


class Operand:
    def __init__(self):
        pass

    def __call__(self):
        run("__call__")

    def __add__(self, other):
        run("__add__")
        return NotImplemented if other is None else self

    def __radd__(self, other):
        run("__radd__")
        return self

    def __iadd__(self, other):
        run("__iadd__")
        return self

    def __neg__(self):
        run("__neg__")

    def __matmul__(self, other):
        run("__matmul__")

    def __lt__(self, other):
        run("__lt__")
        return True

    def __bool__(self):
        run("__bool__")
        return False

    def __int__(self):
        run("__int__")
        return 1

    def __index__(self):
        run("__index__")
        return 0

    def __str__(self):
        run("__str__")
        return ""

    def __repr__(self):
        run("__repr__")
        return ""

    def __format__(self, spec):
        run("__format__")
        return ""

    def __enter__(self):
        run("__enter__")

    def __exit__(self, *raised):
        run("__exit__")
        return True

    def __copy__(self):
        run("__copy__")

    def __reduce__(self):
        run("__reduce__")
        return object, ()


@scenario
def use_operators():
    operand = Operand()
    operand()
    operand + 1
    1 + operand
    operand += 1
    -operand
    operand @ 1
    operand < 1
    sorted([operand, operand])
    bool(operand)
    if operand:
        pass
    not operand
    int(operand)
    [1][operand]
    str(operand)
    repr(operand)
    f"{operand}"
    f"{operand!r:>3}"
    with operand:
        raise ValueError
    copy.copy(operand)
    pickle.dumps(operand)


class Key:
    def __hash__(self):
        run("__hash__")
        return 1

    def __eq__(self, other):
        run("__eq__ in a dict lookup")
        return False


@scenario
def look_up():
    {Key(): 1}.get(Key())


# Generators


def generator():
    run("generator")
    yield 1
    run("generator")
    yield 2
    run("generator")


@scenario
def iterate_generator():
    made(GENERATOR)
    for _ in generator():
        pass
    made(GENERATOR)
    list(generator())
    made(GENERATOR)
    next(generator(), None)  # Begun, then closed by its deallocation.
    closed(GENERATOR)


@scenario
def iterate_generator_expression():
    made(EXHAUSTED)
    list(run("generator expression") for _ in range(3))
    passed(EXHAUSTED)


def receiving():
    run("generator sent to")
    while (yield):
        run("generator sent to")
    run("generator sent to")


@scenario
def send():
    made(SENT)
    receiver = receiving()
    receiver.send(None)
    receiver.send(1)
    try:
        receiver.send(0)
    except StopIteration:
        pass


def handling_close():
    run("generator closed")
    try:
        yield
    finally:
        run("generator closed")


@scenario
def close():
    made(CLOSED)
    suspended = handling_close()
    next(suspended)
    suspended.close()


def never_begun():
    run("generator closed before it began")
    yield


@scenario
def close_new():
    made(CLOSED_NEW)
    never_begun().close()
    made(CLOSED_NEW)
    list(never_begun())
    passed(CLOSED_NEW)


def handling():
    run("generator thrown into")
    try:
        yield
    except ValueError:
        run("generator thrown into")
        yield


@scenario
def throw():
    made(THROWN)
    thrower = handling()
    next(thrower)
    thrower.throw(ValueError())
    try:
        passed(THROWN)  # There is no handler any more.
        thrower.throw(KeyError())
    except KeyError:
        pass


def inner():
    run("generator below yield from")
    yield 1
    run("generator below yield from")
    passed(DELEGATING)
    yield 2
    run("generator below yield from")
    passed(DELEGATING)


def outer():
    run("generator with yield from")
    made(DELEGATED)
    yield from inner()


@scenario
def delegate():
    made(DELEGATING)
    list(outer())


def thrown_inner():
    run("generator below yield from, thrown into")
    try:
        yield
    except ValueError:
        # The frame of thrown_outer is below this one, but is not evaluated.
        run("generator below yield from, thrown into")
        thrown(THROWN_OUTER)
        yield
    run("generator below yield from, thrown into")
    passed(THROWN_OUTER)


def thrown_outer():
    run("generator with yield from, thrown into")
    made(THROWN_INNER)
    yield from thrown_inner()


@scenario
def throw_into_delegating():
    made(THROWN_OUTER)
    thrower = thrown_outer()
    next(thrower)
    thrower.throw(ValueError())
    list(thrower)


@contextlib.contextmanager
def manager():
    run("contextmanager")
    yield
    run("contextmanager")


@scenario
def use_manager():
    made(MANAGER)
    with manager():
        pass


@contextlib.contextmanager
def suppressing():
    run("contextmanager with an exception")
    try:
        yield
    except ValueError:
        run("contextmanager with an exception")


@scenario
def raise_in_manager():
    made(MANAGER_RAISED)
    with suppressing():
        raise ValueError


# Coroutines. `Pause` suspends them without the help of an event loop.


class Pause:
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
        run("coroutine that is cancelled")


async def cancelled_outer():
    run("coroutine above a cancelled one")
    made(CANCELLED_INNER)
    await cancelled_inner()
    run("coroutine above a cancelled one")


@scenario
def cancel():
    made(CANCELLED_OUTER)
    suspended = cancelled_outer()
    suspended.send(None)
    closed(AWAIT)
    try:
        suspended.throw(asyncio.CancelledError())
    except StopIteration:
        pass


@types.coroutine
def coroutine_of_types():
    run("types.coroutine")
    yield
    run("types.coroutine")


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
    made(ASYNC_GENERATOR)
    async for _ in async_generator():
        pass


@scenario
def iterate_async_generator():
    made(ASYNC_FOR)
    drive(async_for())


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
    made(AITER_NEXT)
    made(AITER_NEXT)
    async for _ in AsyncThings():
        pass


@scenario
def use_async_dunders():
    made(ASYNC_WITH)
    drive(async_with())


# Comprehensions. From 3.12 on (PEP 709) they are part of the code around them, and so is the label.


@scenario
def comprehend_list():
    [run("list comprehension") for _ in (1,)]


@scenario
def comprehend_set():
    {run("set comprehension") for _ in (1,)}


@scenario
def comprehend_dict():
    {run("dict comprehension"): 1 for _ in (1,)}


@scenario
def comprehend_in_class():
    class Body:
        [run("comprehension in a class body") for _ in (1,)]


# Code that is made while the program runs


@scenario
def execute():
    exec(executed)
    eval(evaluated)


executed = compile('run("exec")', "<executed>", "exec")
evaluated = compile('run("eval")', "<evaluated>", "eval")


@scenario
def call_function_type():
    types.FunctionType((lambda: run("types.FunctionType")).__code__, globals())()


@scenario
def import_module():
    sys.modules.pop("imported", None)
    importlib.import_module("imported").in_imported_module()


# Exceptions and threads


def raising():
    run("function that raises")
    raise LookupError


def passing_on():
    run("function that an exception passes")
    raising()


@scenario
def catch():
    try:
        passing_on()
    except LookupError:
        pass


def in_thread():
    run("thread's target")


@scenario
def start_thread():
    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()


class InThread(threading.Thread):
    def run(self):
        run("Thread.run")


@scenario
def start_thread_subclass():
    thread = InThread()
    thread.start()
    thread.join()


# What newer versions have. Older ones cannot parse it, so it is text.

modern = {
    (3, 12): '''
@scenario
def type_parameters():
    def generic[Bound: (run("bound of a type variable"), int)[1]](argument):
        run("generic function")
    generic(1)
    generic.__type_params__[0].__bound__
    type Alias = (run("type alias"), int)[1]
    Alias.__value__
''',
    (3, 14): '''
@scenario
def annotations():
    def annotated(argument: run("annotations of a function")):
        pass
    annotated.__annotations__
    class Annotated:
        attribute: run("annotations of a class")
    Annotated.__annotations__
''',
}
generated = [compile(text, "<modern>", "exec") for version, text in modern.items() if sys.version_info >= version]
for code in generated:
    exec(code)


def code_objects(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_objects(constant)


def main():
    gc.disable()  # Nothing is collected at a moment that nobody knows.
    for times, each in enumerate(scenarios, 50):
        for _ in range(times):
            each()

    with open(__file__) as file:
        tops = [compile(file.read(), __file__, "exec"), executed, evaluated, *generated]
    import imported

    tops.append(imported.__loader__.get_code("imported"))
    codes = collections.defaultdict(list)
    for top in tops:
        for code in code_objects(top):
            for constant in code.co_consts:
                if isinstance(constant, str):
                    codes[constant].append(code)
    counts = {kind: collections.Counter(notes) for kind, notes in noted.items()}
    for label in sorted(set().union(*counts.values())):
        # The other occurrences are the names that this module gives to labels.
        x = tuple(code for code in codes[label] if code.co_name != "<module>" or code.co_filename != __file__)
        if len(x)!=1: print(label,x,file=sys.stderr);continue
        code,=x
        numbers = (counts[kind][label] for kind in noted)
        print(label, *numbers, code.co_filename, code.co_firstlineno, code.co_name, sep="\t")


main()
