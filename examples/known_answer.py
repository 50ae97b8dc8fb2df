#!/usr/bin/env python3
"""Burns CPU time in known shares, so that a profile of it can be wrong.

Five functions of different shape each get a fixed share of the CPU time. They take turns; each one burns until its own
reading of the thread's CPU clock says that it has caught up with its share, so what one slice is too long the next one
is shorter. What they used, by that clock, is printed as JSON in the end.

What makes the answer exact:

- The work is written out in each function. It calls nothing, so all of its time is the function's own.
- A clock is read once per STEPS of work: the reads are less than half a percent of the time. They, too, are made by the
  function that they are counted for.
- Shares are relative to what the five used together. Starting and ending the interpreter, and taking turns, are not part
  of it.
- The lengths of the rounds have no common divisor with each other or with a sampler's period, so that samples do not
  keep falling on the same place of a round.
"""

import argparse
import itertools
import json
from time import thread_time_ns

STEPS = range(5000)
ROUNDS_NS = [milliseconds * 1_000_000 for milliseconds in (83, 107, 97, 113, 89, 101, 103)]


def burn_in_function(budget):
    x = 1
    start = now = thread_time_ns()
    while now - start < budget:
        for _ in STEPS:
            x = (x * 73 + 41) & 0xFFFFF
        now = thread_time_ns()
    return now - start


class Burner:
    def burn_in_method(self, budget):
        x = 1
        start = now = thread_time_ns()
        while now - start < budget:
            for _ in STEPS:
                x = (x * 73 + 41) & 0xFFFFF
            now = thread_time_ns()
        return now - start


def burn_in_generator():
    x, used = 1, 0
    while True:
        budget = yield used
        start = now = thread_time_ns()
        while now - start < budget:
            for _ in STEPS:
                x = (x * 73 + 41) & 0xFFFFF
            now = thread_time_ns()
        used = now - start


class NextTurn:
    """Suspends a coroutine: hands out what it used, and takes in what it may use next."""

    def __init__(self, used):
        self.used = used

    def __await__(self):
        return (yield self.used)


async def burn_in_coroutine():
    x, used = 1, 0
    while True:
        budget = await NextTurn(used)
        start = now = thread_time_ns()
        while now - start < budget:
            for _ in STEPS:
                x = (x * 73 + 41) & 0xFFFFF
            now = thread_time_ns()
        used = now - start


def make_closure(factor):
    def burn_in_closure(budget):
        x = 1
        start = now = thread_time_ns()
        while now - start < budget:
            for _ in STEPS:
                x = (x * factor + 41) & 0xFFFFF
            now = thread_time_ns()
        return now - start

    return burn_in_closure


def take_turns(burners, shares, total_ns):
    """Lets each burner use its share of the total, in rounds; returns what each one used."""
    used = [0] * len(burners)
    planned = 0
    for length in itertools.cycle(ROUNDS_NS):
        if planned >= total_ns:
            return used
        planned = min(planned + length, total_ns)
        for i, (burn, share) in enumerate(zip(burners, shares)):
            used[i] += burn(planned * share // 100 - used[i])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="CPU time to use (default: %(default)s)")
    arguments = parser.parse_args()

    generator = burn_in_generator()
    coroutine = burn_in_coroutine()
    functions = [
        ("burn_in_function", 40, burn_in_function),
        ("Burner.burn_in_method", 25, Burner().burn_in_method),
        ("burn_in_generator", 15, generator.send),
        ("burn_in_coroutine", 12, coroutine.send),
        ("make_closure.<locals>.burn_in_closure", 8, make_closure(73)),
    ]
    names, shares, burners = zip(*functions)
    generator.send(None)
    coroutine.send(None)
    used = take_turns(burners, shares, int(arguments.seconds * 1e9))
    generator.close()
    coroutine.close()

    total = max(sum(used), 1)
    truth = [
        {"qualname": name, "planned_percent": share, "cpu_ns": ns, "percent": round(100 * ns / total, 4)}
        for name, share, ns in zip(names, shares, used)
    ]
    print(json.dumps({"total_cpu_ns": sum(used), "functions": truth}, indent=2))


if __name__ == "__main__":
    main()
