"""How far numbers of calls that come from windows are from the truth, and how often within the error that is stated.

    python3 bench/windows/estimates.py PRONK RUNS BUDGET PYTHON... > estimates.md

Runs cli/tests/windows/calls.py so many times with each interpreter, in a directory of its own, and compares the estimates for each
of its functions with what it counts itself. Also prints what stubs have cost by pronk's own estimate, and how long they were on.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import shared

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../cli/tests/windows/calls.py")


def run(pronk, python, budget, directory):
    profile = os.path.join(directory, "x.pronk")
    command = [pronk, "record", "--budget", budget, "-o", profile, "--", python, PROGRAM, "main"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True)
    truth = {name: int(calls) for name, calls in map(str.split, done.stdout.splitlines())}
    report = subprocess.run([pronk, "report", profile, "--json"], capture_output=True, text=True, check=True)
    report = json.loads(report.stdout)
    found = {}
    for function in report["functions"]:
        name = function["name"].split(".")[-1]
        if function["calls"] and (function["file"] or "").endswith("calls.py"):
            found[name] = function["calls"], function["calls_error"]
    # Without samples of its own a function is not in the report.
    compared = {name: (truth[name], *found[name]) for name in truth if name in found}
    return compared, report["quality"]["stubs"]


def main():
    pronk, runs, budget, pythons = os.path.abspath(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
    print("| version | estimates | within the stated error | off by, median | worst | stated error, median "
          "| runs in which all were within | stubs on | cost |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        for python in pythons:
            version = shared.version(python)
            results = [run(pronk, python, budget, directory) for _ in range(runs)]
            estimates = [values for compared, _ in results for values in compared.values()]
            within = [abs(calls - truth) <= error for truth, calls, error in estimates]
            off = [abs(calls - truth) / truth for truth, calls, _ in estimates]
            stated = [error / truth for truth, _, error in estimates]
            whole = sum(all(abs(calls - truth) <= error for truth, calls, error in compared.values())
                        for compared, _ in results)
            time = [stubs["on_ns"] + stubs["off_ns"] for _, stubs in results]
            on = statistics.median(stubs["on_ns"] / all_ns for (_, stubs), all_ns in zip(results, time))
            cost = statistics.median(stubs["cost_ns"] / all_ns for (_, stubs), all_ns in zip(results, time))
            print(f"| {version} | {len(estimates)} | {100 * sum(within) / len(within):.1f} % "
                  f"| {100 * statistics.median(off):.1f} % | {100 * max(off):.1f} % | {100 * statistics.median(stated):.1f} % "
                  f"| {whole} of {runs} | {100 * on:.1f} % | {100 * cost:.2f} % |", flush=True)


main()
