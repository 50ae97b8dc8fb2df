"""What it costs that samples know their tasks: `python3 tags.py PAIRS PRONK PRONK-WITHOUT -- COMMAND...`.

Runs the command under both, one after the other, in pairs whose order alternates, and compares the CPU time of the command by
itself: the median of the ratios of the pairs, between two of them that have the true median between them with 95 %.
"""

import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import shared


def cpu_time(pronk, command):
    """The CPU time that a command uses under pronk, in seconds."""
    with tempfile.TemporaryDirectory() as directory:
        times = os.path.join(directory, "times")
        # The shell's own word for the time of one command, without pronk's.
        shell = ["bash", "-c", 'TIMEFORMAT="%U %S"; { time "${@:2}" >/dev/null 2>&1; } 2>"$1"', "bash", times, *command]
        record = [pronk, "record", "-F", "1000", "-o", os.path.join(directory, "x.folded"), "--", *shell]
        subprocess.run(record, check=True, capture_output=True)
        with open(times) as file:
            return sum(map(float, file.read().split()))


def main(pairs, pronk, without, command):
    cpu_time(pronk, command), cpu_time(without, command)
    ratios = []
    for pair in range(pairs):
        order = [pronk, without] if pair % 2 else [without, pronk]
        taken = {each: cpu_time(each, command) for each in order}
        ratios.append(taken[pronk] / taken[without])
    low, high = shared.median_interval(ratios)
    print(f"{statistics.median(ratios):.4f} ({low:.4f} to {high:.4f}) of {pairs} pairs: {' '.join(command)}")


split = sys.argv.index("--")
main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[split + 1 :])
