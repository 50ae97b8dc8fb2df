"""How deep recursion goes: through Python alone, and through C and back."""

import functools
import sys


def depth_of(enter):
    deepest = 0

    def step():
        nonlocal deepest
        deepest += 1
        enter(step)

    try:
        step()
    except RecursionError as error:
        return deepest, str(error)


class Callable:
    def __init__(self, step):
        self.step = step

    def __call__(self):
        self.step()

    def __getattr__(self, name):
        self.step()

    def __lt__(self, other):
        self.step()

    def __iter__(self):
        self.step()


def generator(step):
    yield step()


WAYS = {
    "a function": lambda step: step(),
    "__call__": lambda step: Callable(step)(),
    "__getattr__": lambda step: Callable(step).missing,
    "__lt__": lambda step: Callable(step) < 1,
    "__iter__": lambda step: list(Callable(step)),
    "map": lambda step: list(map(lambda _: step(), [0])),
    "sort": lambda step: [0].sort(key=lambda _: step()),
    "partial": lambda step: functools.partial(step)(),
    "generator": lambda step: list(generator(step)),
    "eval": lambda step: eval("step()"),
}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        depth = int(sys.argv[1])
        sys.setrecursionlimit(depth + 100)

        def down(left):
            return 0 if left == 0 else 1 + down(left - 1)

        print(down(depth))
        print(depth_of(WAYS["a function"]))
    else:
        for name, enter in WAYS.items():
            print(name, depth_of(enter))
