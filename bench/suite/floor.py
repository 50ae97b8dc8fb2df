"""What interrupts alone cost pyperformance's benchmarks: a signal handler that does nothing, called as often as pronk samples.

    python3 bench/suite/floor.py PRONK_BENCH PYTHON [--benchmarks NAME,..] [--pairs N] [--seconds S] [-F HZ]

Each benchmark runs in pairs with plain runs, under `bench/floor/pronk` and under the pronk beside PRONK_BENCH. Prints a table of the ratios
of the target's CPU time, with the intervals that have the true median with at least 95 %, and the geometric means.
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import suite

FLOOR = suite.HERE.parent / "floor/pronk"
DEFAULT_BENCHMARKS = ("chaos,comprehensions,coroutines,deltablue,fannkuch,float,gc_traversal,go,hexiom,json_dumps,json_loads,logging,"
                      "nbody,nqueens,pickle_pure_python,pidigits,raytrace,regex_compile,richards,scimark,spectral_norm,telco")


def ratio(pronk_bench, pronk, arguments, command, environment):
    """The ratio of CPU time, as `pronk-bench` has it."""
    with tempfile.TemporaryDirectory() as directory:
        options = ["--pairs", arguments.pairs, "-F", arguments.frequency, "-o", directory]
        options += ["--pronk", pronk] if pronk else []
        done = subprocess.run(list(map(str, [pronk_bench, "overhead", *options, "--", *command])), env=environment, cwd=suite.cache(),
                              capture_output=True, text=True)
        results = list(pathlib.Path(directory).glob("*/overhead.json"))
        if done.returncode != 0 or not results:
            sys.exit(done.stderr)
        return json.loads(results[0].read_text())["overhead"][0]["cpu"]


def cell(estimate):
    interval = estimate["interval"]
    return f"{estimate['median']:.3f}" + (f" ({interval['low']:.3f} to {interval['high']:.3f})" if interval else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pronk_bench", type=pathlib.Path)
    parser.add_argument("python")
    parser.add_argument("--benchmarks", default=DEFAULT_BENCHMARKS, help="by name, with commas between")
    parser.add_argument("--pairs", default="8")
    parser.add_argument("--seconds", default="0.5")
    parser.add_argument("-F", "--frequency", default="1000")
    arguments = parser.parse_args()
    pronk_bench, python = arguments.pronk_bench.resolve(), arguments.python
    suite.cache().mkdir(parents=True, exist_ok=True)
    root, found = suite.benchmarks()
    version = suite.shared.version(python)
    print(f"| benchmark, {version} | a handler that does nothing | pronk |\n|---|---|---|")
    medians = []
    for benchmark in (one for one in found if one["name"] in arguments.benchmarks.split(",")):
        paths = suite.packages(python, version, root, benchmark)
        loops, why = suite.calibrate(python, root, benchmark, paths, arguments.seconds) if paths is not None else (None, "no packages")
        if loops is None:
            print(f"{benchmark['name']}: {why}", file=sys.stderr)
            continue
        command, environment = suite.words(python, root, benchmark), suite.environment(paths, loops)
        both = [ratio(pronk_bench, pronk, arguments, command, environment) for pronk in (FLOOR, None)]
        medians.append([estimate["median"] for estimate in both])
        print(f"| {benchmark['name']} | {cell(both[0])} | {cell(both[1])} |", flush=True)
    means = [math.exp(sum(map(math.log, column)) / len(column)) for column in zip(*medians)]
    print(f"| geometric mean | {means[0]:.3f} | {means[1]:.3f} |")


if __name__ == "__main__":
    main()
