"""How long it takes until a process that runs is sampled, and how long one thread of it is stopped for that.

    python3 bench/attach/attach.py PRONK ROUNDS PYTHON... > attach.md

Starts the programs of cli/tests/attach/states.py with each interpreter, and attaches to each so many times.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import shared

STATES = ["sleeping", "burning", "threads", "hashing", "tasks", "recursive"]
PROGRAM = os.path.join(os.path.dirname(__file__), "../../cli/tests/attach/states.py")


def attach(pronk, pid, directory):
    """The seconds from the command until the process is sampled, and the milliseconds that a thread was stopped."""
    started = time.monotonic()
    command = [pronk, "record", "-o", f"{directory}/attach.folded", "--pid", str(pid), "--duration", "0.02"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    until = time.monotonic() - started
    process.stderr.read()
    if process.wait() != 0:
        sys.exit(line)
    return until, float(re.search(r"stopped for ([0-9.]+) ms", line)[1])


def main():
    pronk, rounds, pythons = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    print("| version | state | until it is sampled, median | worst | pause, median | worst |")
    print("|---|---|---|---|---|---|")
    everything = []
    with tempfile.TemporaryDirectory() as directory:
        for python in pythons:
            for state in STATES:
                program = subprocess.Popen([python, PROGRAM, state], stdout=subprocess.PIPE, text=True)
                program.stdout.readline()
                measured = [attach(pronk, program.pid, directory) for _ in range(rounds)]
                if program.poll() is not None:
                    sys.exit(f"{python} {state} has ended")
                program.kill()
                program.wait()
                everything += measured
                row(shared.version(python), state, measured)
    row("all", f"{len(everything)} times", everything)


def row(name, state, measured):
    until = [1e3 * seconds for seconds, _ in measured]
    pause = [milliseconds for _, milliseconds in measured]
    print(f"| {name} | {state} | {statistics.median(until):.0f} ms | {max(until):.0f} ms "
          f"| {statistics.median(pause):.2f} ms | {max(pause):.2f} ms |", flush=True)


main()
