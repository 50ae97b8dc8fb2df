"""A frame with a variable of each kind."""
import enum
import sys


class Colour(enum.Enum):
    RED = 1


class Plain:
    def __init__(self):
        self.number = 7
        self.words = "a b"
        self.other = []


class Slots:
    __slots__ = ("value",)


class Text(str):
    pass


def values(argument, *rest, key=None, **others):
    none, true, false = None, True, False
    zero, small, negative, large, huge = 0, 42, -(2**40), 2**100, 1 << 5000
    half, third, tiny, infinite = 0.5, 1 / 3, 1e-7, float("inf")
    text, quoted, wide, long_text = "plain", "it's\n", "grüße 🐎", "x" * 1000
    some_bytes, array = b"\x00a'\xff", bytearray(b"abc")
    empty, numbers, many, nested = [], [1, 2, 3], list(range(100)), [[[[1]]]]
    one, pair = (1,), ("a", 2.0)
    table, big_table = {"k": [1], 2: None}, {number: number for number in range(50)}
    few, frozen, no_set = {7}, frozenset(["f"]), set()
    plain, slots, colour, derived = Plain(), Slots(), Colour.RED, Text("t")
    kind, function, module = Plain, values, sys
    in_cell = "cell"
    free = lambda: (in_cell, argument)
    dots = ...
    deleted = 1
    del deleted
    if false:
        never = 1

    def inner():
        print("ready", flush=True)
        sys.stdin.readline()
        return in_cell, argument

    class Body:
        in_body = 3
        inner()

    return none, true, never


values("first", "second", key="named", more=1)
