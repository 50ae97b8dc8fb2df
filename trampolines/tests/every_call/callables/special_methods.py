"""Special methods, which operators and built-in functions call."""

import copy
import pickle

from notes import run, scenario


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
