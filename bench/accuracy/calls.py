"""Does a fixed amount of work, some of it in small calls and some without any, and says how much CPU time each part took.

Its functions are told apart by their totals: what a profiler costs in a call, it costs in one of the parts. Prints JSON, as
examples/known_answer.py does.
"""

import json
import sys
from time import thread_time_ns


def small(value):
    return value + 1


def small_calls(count):
    value = 0
    for _ in range(count):
        value = small(value)
    return value


class Account:
    def __init__(self):
        self.balance = 0

    def add(self, amount):
        self.balance += amount


def methods(count):
    account = Account()
    for _ in range(count):
        account.add(1)
    return account.balance


def numbers(count):
    for number in range(count):
        yield number


def generator(count):
    total = 0
    for number in numbers(count):
        total += number
    return total


def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def recursion(count):
    for _ in range(count // 1000):
        fib(14)


def arithmetic(count):
    value = 1
    for number in range(count):
        value = (value * 73 + number) & 0xFFFFF
    return value


def sorting(count):
    for _ in range(count // 20_000):
        sorted(str(number) for number in range(2000))
        sorted(range(20_000, 0, -1))


PARTS = {small_calls: 400_000, methods: 200_000, generator: 200_000, recursion: 200_000, arithmetic: 600_000, sorting: 400_000}


def main(rounds):
    used = dict.fromkeys(PARTS, 0)
    for _ in range(rounds):
        for part, count in PARTS.items():
            start = thread_time_ns()
            part(count)
            used[part] += thread_time_ns() - start
    functions = [{"qualname": part.__qualname__, "cpu_ns": ns} for part, ns in used.items()]
    print(json.dumps({"total_cpu_ns": sum(used.values()), "functions": functions}))


main(int(sys.argv[1]))
