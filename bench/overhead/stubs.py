"""What a stub that is entered costs, by the kind of function: nanoseconds, in pairs within one process.

    pronk stubs -- python3 bench/overhead/stubs.py

Prints a line for each kind: its name, and the median of what stubs added to each call, with the quartiles.
"""

import ctypes
import statistics
import sys
import time

PAIRS = 40
CALLS = 20_000


def function(value):
    return value


class Thing:
    def method(self, value):
        return value


def counting(calls):
    for number in range(calls):
        yield number


async def awaited(value):
    return value


def call_functions():
    for number in range(CALLS):
        function(number)


def call_methods():
    thing = Thing()
    for number in range(CALLS):
        thing.method(number)


def resume_generator():
    for _ in counting(CALLS):
        pass


async def await_coroutines():
    for number in range(CALLS):
        await awaited(number)


def run_coroutines():
    try:
        await_coroutines().send(None)
    except StopIteration:
        pass


KINDS = {
    "function": call_functions,
    "method": call_methods,
    "generator": resume_generator,
    "coroutine": run_coroutines,
}


def timed(work):
    began = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - began


def main():
    try:
        agent = ctypes.PyDLL(None)
        install, remove = agent.pronk_install, agent.pronk_remove
    except AttributeError:
        sys.exit("pronk's agent is not in this process: run it with `pronk stubs -- python3 ...`")
    for name, work in KINDS.items():
        costs = []
        for _ in range(PAIRS):
            remove()
            # The interpreter specializes its instructions for either, in a run that does not count.
            timed(work)
            without = min(timed(work) for _ in range(3))
            install()
            timed(work)
            costs.append((min(timed(work) for _ in range(3)) - without) / CALLS)
        low, median, high = statistics.quantiles(costs, n=4)
        print(f"{name:10} {median:6.1f} ns  ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
