"""Stands in the place of the package pyperf, for scripts of pyperformance.

pyperf starts many processes, and decides in each how often it runs what it measures. Here the script runs once, in this process, and
does each of its tasks as often as PRONK_SUITE_LOOPS says, a list of numbers as JSON: the same work each time. If that is a number of
seconds, loops are at least doubled until a task has used so much CPU time.

What each task took goes to the file that PRONK_SUITE_WORK names, if it does: time on the clock, and CPU time of this process and of
its children that have ended, in seconds.
"""

import argparse
import functools
import json
import os
import resource
import sys
import time

perf_counter = time.perf_counter


def python_implementation():
    return sys.implementation.name


class Parser(argparse.ArgumentParser):
    """Takes no texts of help: from 3.14 on argparse refuses some of those that scripts have."""

    def add_argument(self, *names, help=None, **options):
        return super().add_argument(*names, **options)


class Runner:
    """What scripts use of pyperf.Runner."""

    _tasks = []

    def __init__(self, **_options):
        self.metadata = {}
        self.argparser = Parser()
        self.args = None

    def parse_args(self):
        self.args = self.argparser.parse_args()
        return self.args

    def bench_func(self, name, func, *args, inner_loops=None, **_metadata):
        if args:
            func = functools.partial(func, *args)

        def run(loops):
            for _ in range(loops):
                func()

        self._do(name, run)

    def bench_time_func(self, name, time_func, *args, inner_loops=None, **_metadata):
        self._do(name, lambda loops: time_func(loops, *args))

    def bench_async_func(self, name, func, *args, loop_factory=None, inner_loops=None, **_metadata):
        import asyncio

        async def run_all(loops):
            for _ in range(loops):
                await func(*args)

        def run(loops):
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(run_all(loops))

        self._do(name, run)

    def bench_command(self, name, command):
        import subprocess

        def run(loops):
            for _ in range(loops):
                subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)

        self._do(name, run)

    def _do(self, name, run):
        loops = json.loads(os.environ["PRONK_SUITE_LOOPS"])
        task = _calibrated(run, loops) if isinstance(loops, float) else _measured(run, loops[len(self._tasks)])
        self._tasks.append({"name": name, **task})
        if "PRONK_SUITE_WORK" in os.environ:
            with open(os.environ["PRONK_SUITE_WORK"], "w") as file:
                json.dump(self._tasks, file)


def _calibrated(run, seconds):
    loops = 1
    while (task := _measured(run, loops))["cpu"] < seconds:
        # At least doubled, and not more than what is missing for sure: a first loop can take longer than others.
        loops *= max(2, min(16, int(seconds / max(task["cpu"], 1e-9) / 2)))
    return task


def _measured(run, loops):
    wall, cpu = time.perf_counter(), _cpu()
    run(loops)
    return {"loops": loops, "wall": time.perf_counter() - wall, "cpu": _cpu() - cpu}


def _cpu():
    # The clock of this process is finer than what getrusage(2) has of it, and counts all its threads.
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
