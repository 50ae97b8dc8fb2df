"""Generators: resumed, sent to, thrown into, closed, and one below another."""

import contextlib

from notes import closed, dropped, made, passed, run, scenario, thrown

GENERATOR = "generator"
EXPRESSION = "generator expression"
CLOSED = "generator closed"
DROPPED = "generator closed before it began"
SENT = "generator sent to"
THROWN = "generator thrown into"
OUTER = "generator with yield from"
INNER = "generator below yield from"
THROWN_OUTER = "generator with yield from, thrown into"
THROWN_INNER = "generator below yield from, thrown into"
MANAGER = "contextmanager"
RAISED = "contextmanager with an exception"


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
    made(EXPRESSION)
    list(run("generator expression") for _ in range(3))
    passed(EXPRESSION)  # The resume that finds the loop over.


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
def close_before_it_began():
    made(DROPPED)
    never_begun().close()
    dropped(DROPPED)
    made(DROPPED)
    list(never_begun())
    passed(DROPPED)  # The resume that ends it.


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
    passed(OUTER)
    yield 2
    run("generator below yield from")
    passed(OUTER)


def outer():
    run("generator with yield from")
    made(INNER)
    yield from inner()


@scenario
def delegate():
    made(OUTER)
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
    made(RAISED)
    with suppressing():
        raise ValueError
