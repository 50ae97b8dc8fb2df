"""What pronk costs the examples at 100, 1,000 and 10,000 samples a second: `pronk overhead` on each.

    python3 bench/overhead/rates.py PRONK DIRECTORY PYTHON [--runs N]

DIRECTORY gets a file of JSON for each example and rate, and summary.md: a table of the CPU time of the target by that of plain runs, medians
with the intervals that have the true ones with at least 95 %. What is there already is not measured again.
"""

import argparse
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import shared

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
# So that each takes a second or three.
ROUNDS = {"raytracer": 60, "web_server": 400, "thread_pool": 80, "log_pipeline": 10}
RATES = (100, 1_000, 10_000)
PROFILERS = "pronk,pronk+budget,pronk+stubs"


def measure(arguments, example, rate):
    """The result of `pronk overhead`, which is kept."""
    result = arguments.directory / f"{shared.version(arguments.python)}-{example}-{rate}.json"
    if not result.exists() or json.loads(result.read_text())["interrupted"]:
        target = [arguments.python, EXAMPLES / f"{example}.py", "--rounds", ROUNDS[example]]
        command = [arguments.pronk, "overhead", "--profilers", PROFILERS, "--runs", arguments.runs, "-F", rate, "--json", result, "--", *target]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    return json.loads(result.read_text())


def cell(cost):
    interval = cost["interval"]
    between = f" ({interval['low']:.3f} to {interval['high']:.3f})" if interval else ""
    return f"{cost['median']:.3f}{between}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pronk", type=pathlib.Path)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("python")
    parser.add_argument("--runs", default="8")
    arguments = parser.parse_args()
    arguments.pronk = arguments.pronk.resolve()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    lines = ["| example | profiler | " + " | ".join(f"{rate:,} a second" for rate in RATES) + " |", "|---" * (len(RATES) + 2) + "|"]
    for example in ROUNDS:
        results = [measure(arguments, example, rate) for rate in RATES]
        for profilers in zip(*(result["profilers"] for result in results)):
            lines.append(f"| {example} | {profilers[0]['name']} | " + " | ".join(cell(one["cpu"]) for one in profilers) + " |")
    (arguments.directory / "summary.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
