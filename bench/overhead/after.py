"""Whether a program is as fast as before, once stubs have been on and are off again.

    python3 bench/overhead/after.py PRONK RUNS PYTHON... > after.md

A process makes calls for a while, and then times blocks of them. It is started plain and by `pronk record --stubs full --duration 0.2`, in
turns: pronk samples it and counts its calls for a fifth of a second, and then lets it go on alone. The table has how long a block took, by how
long in the plain process before or after it: the median of the pairs, with the interval between order statistics that contains the true
median with at least 95 %. Beside it is the same for pairs of plain processes, and how long a block took while stubs were on.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import shared
import stubs

BLOCKS = 40
SECONDS = 0.2


def block():
    for work in stubs.KINDS.values():
        work()


def blocks(number):
    times = []
    for _ in range(number):
        began = time.thread_time_ns()
        block()
        times.append(time.thread_time_ns() - began)
    return statistics.median(times)


def child():
    # The interpreter specializes its instructions first.
    start = time.monotonic()
    blocks(5)
    during = blocks(5)
    while time.monotonic() < start + SECONDS + 0.3:
        block()
    print(blocks(BLOCKS), during)


def run(*words):
    """How long a block took at the end, and at the beginning."""
    output = subprocess.run([*words, os.path.abspath(__file__)], capture_output=True, text=True, check=True).stdout
    return tuple(map(float, output.split()))


def main():
    pronk, runs, pythons = os.path.abspath(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    print("| version | after stubs were on | plain, by plain | while stubs were on |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        record = [pronk, "record", "--stubs", "full", "--duration", str(SECONDS), "-o", os.path.join(directory, "x.pronk"), "--"]
        for python in pythons:
            after, plain, during = [], [], []
            for number in range(runs):
                # What is first has no advantage over many rounds.
                kinds = [[], [], record]
                order = kinds[number % 3:] + kinds[:number % 3]
                times = [(len(words), run(*words, python)) for words in order]
                (first, _), (second, _) = [result for is_record, result in times if not is_record]
                (stubbed, meanwhile), = [result for is_record, result in times if is_record]
                after.append(stubbed / first if number % 2 else stubbed / second)
                plain.append(second / first if number % 2 else first / second)
                during.append(meanwhile / first)
            print(f"| {shared.version(python)} | {cell(after)} | {cell(plain)} | {statistics.median(during):.2f} |", flush=True)


def cell(ratios):
    low, high = shared.median_interval(ratios)
    return f"{statistics.median(ratios):.4f} ({low:.4f} to {high:.4f})"


if len(sys.argv) == 1:
    child()
else:
    main()
