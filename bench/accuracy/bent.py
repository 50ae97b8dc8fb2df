"""How far the shares that profilers give to the parts of a program are from those of a plain run.

    python3 bench/accuracy/bent.py PRONK RUNS PYTHON... > bent.md

Runs examples/known_answer.py and bench/accuracy/calls.py plain and under each profiler, in turns. The programs say how much CPU time
each of their parts took; the truth is what they say in plain runs, by the median. A profiler's answer is the time that it gives to
a part with all that it calls, as a share of all parts. For each part it is compared with the truth, in percentage points, by the median
of the runs; the table has the part that is most off.
"""

import json
import os
import pathlib
import pstats
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import shared

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAMS = {"known_answer": [ROOT / "examples/known_answer.py", "--seconds", "4"], "calls": [ROOT / "bench/accuracy/calls.py", "12"]}
# What is asked of `pronk record`, and of `pronk report`.
PRONK = {
    "pronk": ([], []),
    "pronk --budget 2": (["--budget", "2"], []),
    "pronk --stubs full": (["--stubs", "full"], []),
    "pronk --stubs full, --compensate": (["--stubs", "full"], ["--compensate"]),
    "pronk --engine perf": (["--engine", "perf"], []),
    "pronk --engine perf, --compensate": (["--engine", "perf"], ["--compensate"]),
}


def run(command):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout


def said(stdout):
    """The time of each part, by what the program says."""
    return {function["qualname"]: function["cpu_ns"] for function in json.loads(stdout)["functions"]}


def by_pronk(pronk, record, report, words, parts):
    run([pronk, "record", *record, "-o", "x.pronk", "--", *words])
    functions = json.loads(run([pronk, "report", "x.pronk", "--json", *report]))["functions"]
    # A module's name comes before the qualified one; with code objects alone there is no class in it.
    return {part: sum(f["total"] for f in functions if is_part(f, part)) for part in parts}


def is_part(function, part):
    name = function["name"]
    return function["category"] == "python" and (name.endswith("." + part) or name.endswith("." + part.rpartition(".")[2]))


def by_cprofile(words, parts):
    python, *rest = words
    run([python, "-m", "cProfile", "-o", "x.stats", *rest])
    # The format is the marshalled dictionary of pstats, in all versions.
    stats = pstats.Stats("x.stats").stats
    return {part: sum(entry[3] for (_, _, name), entry in stats.items() if name == part.rpartition(".")[2]) for part in parts}


def shares(times):
    return {part: 100 * time / sum(times.values()) for part, time in times.items()}


def medians(runs):
    return {part: statistics.median(times[part] for times in runs) for part in runs[0]}


def measure(pronk, rounds, python, program):
    words = [python, *PROGRAMS[program]]
    truth, found = [], {}
    for _ in range(rounds):
        times = said(run(words))
        truth.append(shares(times))
        for name, (record, report) in PRONK.items():
            found.setdefault(name, []).append(shares(by_pronk(pronk, record, report, words, times)))
        found.setdefault("cProfile", []).append(shares(by_cprofile(words, times)))
    truth = medians(truth)
    for name, runs in found.items():
        answer = medians(runs)
        worst = max(truth, key=lambda part: abs(answer[part] - truth[part]))
        yield name, worst, answer[worst], truth[worst]


def main():
    pronk, rounds, pythons = os.path.abspath(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    print("| version | program | profiler | most off by | part | its share | in truth |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        for python in pythons:
            version = shared.version(python)
            for program in PROGRAMS:
                for name, part, share, truth in measure(pronk, rounds, python, program):
                    print(f"| {version} | {program} | {name} | {abs(share - truth):.1f} points | {part} | {share:.1f} % | {truth:.1f} % |",
                          flush=True)


main()
