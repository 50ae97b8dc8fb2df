"""Recurses deeper than stubs go."""

import sys

sys.setrecursionlimit(100_000)


def down(depth):
    if depth:
        down(depth - 1)


down(60_000)
