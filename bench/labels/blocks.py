"""What a block with labels costs: `python3 blocks.py PRONK PYTHON...` prints a table.

Each number is the least of many rounds, less what an empty round takes: what the block takes by itself.
"""

import json
import os
import subprocess
import sys
import tempfile
import timeit

BLOCK = 'with pronk.label(request="checkout", user=42): pass'
NESTED = 'with pronk.label(inner=1): pass'
ROUNDS, EACH = 200, 5_000


def least(statement, setup="pass"):
    timer = timeit.Timer(statement, setup, globals=globals())
    return min(timer.repeat(ROUNDS, EACH)) / EACH * 1e9


def measure():
    empty = least("pass")
    results = {"block": least(BLOCK) - empty, "labels": least("pronk.labels()") - empty}
    with pronk.label(a=1, b=2, c=3):
        results["nested"] = least(NESTED) - empty
        results["labels within"] = least("pronk.labels()") - empty
        results["snapshot"] = least("pronk.snapshot()") - empty
    return results


def main(pronk_binary, pythons):
    package = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../python")
    environment = {**os.environ, "PYTHONPATH": package}
    names = ["block", "nested", "labels", "labels within", "snapshot"]
    print("| CPython | | " + " | ".join(names) + " |\n|---|---|" + "---|" * len(names))
    for python in pythons:
        version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
        command = [python, os.path.abspath(__file__)]
        with tempfile.TemporaryDirectory() as directory:
            record = [pronk_binary, "record", "-o", os.path.join(directory, "blocks.svg"), "--"]
            ways = {"plain": command, "profiled": record + command}
            outputs = {way: subprocess.run(line, capture_output=True, text=True, check=True, env=environment).stdout
                       for way, line in ways.items()}
        for way, output in outputs.items():
            results = json.loads(output)
            print(f"| {version} | {way} | " + " | ".join(f"{results[name]:.0f} ns" for name in names) + " |", flush=True)


if len(sys.argv) > 1:
    main(sys.argv[1], sys.argv[2:])
else:
    import pronk

    print(json.dumps(measure()))
