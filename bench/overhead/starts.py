"""What starting a thread, and a process by fork, takes more when it is sampled: programs that do nothing else.

    python3 bench/overhead/starts.py PRONK PYTHON... [--rounds N]

In each round a program runs plain, and with `pronk record`, without and with a budget of stubs. It starts threads, and then processes, one
after the other, each of which ends at once, and says how long one took by the clock, the end included. The table has the medians, in
microseconds, and in brackets the quartiles of what was more than plain in the same round.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import shared

PROGRAM = """
import _thread, os, time

THREADS, FORKS = 5000, 300
ended = _thread.allocate_lock()

def threads():
    for _ in range(THREADS):
        ended.acquire()
        _thread.start_new_thread(ended.release, ())
    ended.acquire()
    ended.release()

def forks():
    for _ in range(FORKS):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

for start, times in (threads, THREADS), (forks, FORKS):
    began = time.perf_counter()
    start()
    print(1e6 * (time.perf_counter() - began) / times)
"""
WAYS = {"plain": None, "pronk": ["--stubs", "off"], "pronk+budget": ["--budget", "2"]}


def measure(pronk, python, script, options, directory):
    """How long a thread and a fork took, in microseconds."""
    command = [python, script]
    if options is not None:
        command = [pronk, "record", "--engine", "signal", *options, "-o", f"{directory}/profile.pronk", "--", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(line) for line in done.stdout.split()]


def row(python, pronk, rounds, directory):
    script = pathlib.Path(directory, "starts.py")
    script.write_text(PROGRAM)
    taken = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, options in WAYS.items():
            taken[way].append(measure(pronk, python, script, options, directory))
    cells = [shared.version(python)]
    for index in range(2):
        for way in WAYS:
            median = statistics.median(one[index] for one in taken[way])
            more = [one[index] - plain[index] for one, plain in zip(taken[way], taken["plain"])]
            low, _, high = statistics.quantiles(more)
            cells.append(f"{median:.0f}" if way == "plain" else f"{median:.0f} ({low:+.0f} to {high:+.0f})")
    return "| " + " | ".join(cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pronk", type=pathlib.Path)
    parser.add_argument("pythons", nargs="+", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    ways = [f"{what}, {way}" for what in ("a thread", "a fork") for way in WAYS]
    print("| version | " + " | ".join(ways) + " |")
    print("|---" * (1 + len(ways)) + "|")
    with tempfile.TemporaryDirectory() as directory:
        for python in arguments.pythons:
            print(row(python, arguments.pronk.resolve(), arguments.rounds, directory), flush=True)


if __name__ == "__main__":
    main()
