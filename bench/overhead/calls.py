"""Does nothing but call small functions: the worst case for what is called, or takes its time, at each call."""

import sys


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


print(fibonacci(int(sys.argv[1]) if sys.argv[1:] else 30))
