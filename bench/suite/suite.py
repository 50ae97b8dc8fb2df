"""What pronk costs pyperformance's benchmarks: `pronk overhead` on each, and the geometric mean over all.

    python3 bench/suite/suite.py PRONK DIRECTORY PYTHON... [--benchmarks NAME,..] [--profilers LIST] [--runs N] [--seconds S] [-F HZ]

Each benchmark is pyperformance's own script in one process, with a fixed amount of work: as often as it takes for about S seconds of CPU
time, found out once for each version. The package, and what its benchmarks need, are installed by pip into ~/.cache/pronk-bench, or
where PRONK_BENCH_CACHE says. What cannot be installed for a version, or does not run there, is named and left out.

DIRECTORY gets a file of JSON for each benchmark and version, as `pronk overhead --json` writes it, and summary.md, which is made of all
files that are there: so a run can be interrupted, and goes on where it was.
"""

import argparse
import json
import math
import operator
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import shared

PACKAGE = "pyperformance==1.11.0"
DEFAULT_PROFILERS = "pronk,pronk+budget,pronk+stubs,x-perf"
# The middle number of the first CPython 3 that has them.
SINCE = {"x-perf": 12, "perf": 12, "sys.monitoring": 12, "profiling.sampling": 15, "profiling.tracing": 15}
# They measure the start of an interpreter, or programs of other interpreters: there is next to nothing to be sampled.
LEFT_OUT = {"python_startup", "python_startup_no_site", "hg_startup"}


def cache():
    return pathlib.Path(os.environ.get("PRONK_BENCH_CACHE", pathlib.Path.home() / ".cache/pronk-bench"))


def pip(python, target, packages):
    """Installs packages for an interpreter by the newest pip, which knows the newest interpreters: that one may have none."""
    own = cache() / "pip"
    options = ["--quiet", "--disable-pip-version-check", "--upgrade", "--target"]
    if not own.exists():
        subprocess.run([sys.executable, "-m", "pip", "install", *options, own, "pip"], check=True, capture_output=True)
    command = [sys.executable, own / "pip", "--python", python, "install", *options, target, *packages]
    return subprocess.run(command, capture_output=True, text=True).returncode == 0


def benchmarks():
    """The directory of the benchmarks, and what there is in it."""
    package = cache() / "package"
    if not package.exists() and not pip(sys.executable, package, ["--no-deps", PACKAGE]):
        sys.exit(f"{PACKAGE} cannot be installed by pip")
    root = package / "pyperformance/data-files/benchmarks"
    listed = subprocess.run([sys.executable, HERE / "manifest.py", root], capture_output=True, text=True, check=True)
    return root, [one for one in json.loads(listed.stdout) if one["name"] not in LEFT_OUT]


def packages(python, version, root, benchmark):
    """The directories with what a benchmark needs, or None if that cannot be had."""
    needs = root / benchmark["directory"] / "requirements.txt"
    if not needs.exists():
        return []
    target = cache() / version / benchmark["directory"]
    if not (target / "done").exists():
        wanted = [line.partition("#")[0].strip() for line in needs.read_text().splitlines()]
        if not pip(python, target, [line for line in wanted if line]):
            return None
        (target / "done").touch()
    return [target]


def words(python, root, benchmark):
    return [python, root / benchmark["directory"] / "run_benchmark.py", *benchmark["options"]]


def environment(paths, loops):
    paths = [HERE, *paths]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONHASHSEED": "0",
            "PRONK_SUITE_LOOPS": json.dumps(loops)}


def calibrate(python, root, benchmark, paths, seconds):
    """How often each task of a benchmark is done, or why it does not run."""
    work = cache() / "work.json"
    work.unlink(missing_ok=True)
    command = words(python, root, benchmark)
    names = environment(paths, float(seconds)) | {"PRONK_SUITE_WORK": str(work)}
    done = subprocess.run(command, env=names, cwd=cache(), capture_output=True, text=True)
    if done.returncode != 0 or not work.exists():
        lines = done.stderr.strip().splitlines()
        return None, lines[-1] if lines else f"it ended with {done.returncode}"
    return [task["loops"] for task in json.loads(work.read_text())], None


def measure(arguments, python, version, root, benchmark):
    """Runs `pronk overhead`, unless there is its result already. Returns why not, if it did not run."""
    result = arguments.directory / f"{version}-{benchmark['name']}.json"
    if result.exists() and not json.loads(result.read_text())["interrupted"]:
        return None
    paths = packages(python, version, root, benchmark)
    if paths is None:
        return "what it needs cannot be installed"
    loops, why = calibrate(python, root, benchmark, paths, arguments.seconds)
    if loops is None:
        return why
    minor = int(version.split(".")[1])
    profilers = ",".join(name for name in arguments.profilers.split(",") if minor >= SINCE.get(name, 0))
    command = [arguments.pronk, "overhead", "--profilers", profilers, "--runs", arguments.runs, "-F",
               arguments.frequency, "--json", result, "--", *words(python, root, benchmark)]
    done = subprocess.run(list(map(str, command)), env=environment(paths, loops), cwd=cache(), capture_output=True, text=True)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it failed"])[-1]


def summary(directory):
    """The table of all results in a directory."""
    results = {}
    for path in sorted(directory.glob("3.*.json")):
        version, name = path.stem.split("-", 1)
        results.setdefault(version, {})[name] = json.loads(path.read_text())
    lines = ["| version | benchmarks | profiler | CPU time, geometric mean | worst | of all processes | memory |",
             "|---|---|---|---|---|---|---|"]
    for version, found in results.items():
        rows = {}
        for name, result in found.items():
            rows.setdefault("plain, again", {})[name] = result["plain"]
            for profiler in result["profilers"]:
                rows.setdefault(profiler["name"], {})[name] = profiler
        for profiler, costs in rows.items():
            cpu = {name: cost["cpu"] for name, cost in costs.items() if cost["cpu"] and cost["cpu"]["median"]}
            if not cpu:
                continue
            worst = max(cpu, key=lambda name: cpu[name]["median"])
            interval = cpu[worst]["interval"]
            between = f", in {interval['low']:.3f} to {interval['high']:.3f}" if interval else ""
            lines.append(f"| {version} | {len(cpu)} | {profiler} | {mean(cpu.values()):.3f} "
                         f"| {cpu[worst]['median']:.3f} ({worst}{between}) "
                         f"| {mean(cost['total_cpu'] for cost in costs.values()):.3f} "
                         f"| {mean(cost['memory'] for cost in costs.values()):.3f} |")
    lines += ["", "| version | benchmarks | full stubs by -X perf, nothing sampled: median of the benchmarks | geometric mean |", "|---|---|---|---|"]
    for version, found in results.items():
        ratios = [ratio for ratio in map(stubs_by_xperf, found.values()) if ratio]
        if ratios:
            low, high = shared.median_interval(ratios)
            geometric = math.exp(sum(map(math.log, ratios)) / len(ratios))
            lines.append(f"| {version} | {len(ratios)} | {statistics.median(ratios):.4f}, in {low:.4f} to {high:.4f} | {geometric:.4f} |")
    return "\n".join(lines) + "\n"


def stubs_by_xperf(result):
    """The median ratio of CPU time in the rounds of a benchmark, if both ran in each."""
    runs = {one["name"]: [run["target"]["cpu"] for run in one["measured"]] for one in result["profilers"]}
    stubs, xperf = runs.get("stubs", []), runs.get("x-perf", [])
    return statistics.median(map(operator.truediv, stubs, xperf)) if stubs and len(stubs) == len(xperf) else None


def mean(estimates):
    """The geometric mean of medians."""
    medians = [estimate["median"] for estimate in estimates if estimate and estimate["median"]]
    return math.exp(sum(map(math.log, medians)) / len(medians)) if medians else math.nan


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pronk", type=pathlib.Path)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("pythons", nargs="+", metavar="PYTHON")
    parser.add_argument("--benchmarks", help="these only, by name, with commas between")
    parser.add_argument("--profilers", default=DEFAULT_PROFILERS, help=f"as for pronk overhead [{DEFAULT_PROFILERS}]")
    parser.add_argument("--runs", default="6")
    parser.add_argument("--seconds", default="1.0")
    parser.add_argument("-F", "--frequency", default="1000")
    arguments = parser.parse_args()
    arguments.pronk, arguments.directory = arguments.pronk.resolve(), arguments.directory.resolve()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    cache().mkdir(parents=True, exist_ok=True)
    root, found = benchmarks()
    if arguments.benchmarks:
        names = arguments.benchmarks.split(",")
        unknown = set(names) - {one["name"] for one in found}
        if unknown:
            sys.exit(f"there is no benchmark {', '.join(sorted(unknown))} in {PACKAGE}")
        found = [one for one in found if one["name"] in names]
    left_out = []
    for python in arguments.pythons:
        version = shared.version(python)
        for benchmark in found:
            why = measure(arguments, python, version, root, benchmark)
            print(f"{version} {benchmark['name']}: {why or 'measured'}", file=sys.stderr, flush=True)
            if why:
                left_out.append(f"- {version} {benchmark['name']}: {why}\n")
            (arguments.directory / "summary.md").write_text(summary(arguments.directory) + "\nLeft out:\n\n" + "".join(left_out))


if __name__ == "__main__":
    main()
