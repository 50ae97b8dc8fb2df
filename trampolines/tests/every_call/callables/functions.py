"""Functions: their parameters, wrappers and exceptions."""

import functools

from notes import run, scenario


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
def cached(argument):
    run("functools.lru_cache")


@scenario
def call_cached():
    argument = object()
    cached(argument)
    cached(argument)  # Does not run.


@functools.singledispatch
def dispatched(argument):
    run("functools.singledispatch")


@scenario
def call_dispatched():
    dispatched(1)


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
