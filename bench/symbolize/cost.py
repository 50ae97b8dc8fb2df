"""What pronk takes to give the names to the samples of a big program when that has ended, and to draw a million of them.

    python3 bench/symbolize/cost.py PRONK PYTHON > symbolize.md

bench/symbolize/big.py runs for 15, 30 and 60 seconds of CPU time at 1,000 samples a second: how long pronk runs on when the program has
said its last word, and the most memory that pronk itself had (VmHWM of proc(5)). Then for 60 seconds at 20,000 samples a second: how long
`pronk flamegraph` and `pronk report` take for that profile.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

BIG = pathlib.Path(__file__).resolve().parent / "big.py"


def peak(pid):
    """The most memory that a process had so far, in MiB; None when it has ended."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
    return kilobytes[0] / 1024 if kilobytes else None


def watch(command):
    """Runs a command; what it printed, when it ended, how long it took, and the most memory that it had."""
    began = time.monotonic_ns()
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        most = 0.0
        while process.poll() is None:
            most = max(most, peak(process.pid) or 0.0)
            # What it had is not to be read any more when it has ended, and nothing tells when it grows.
            time.sleep(0.005)
        ended = time.monotonic_ns()
        if process.returncode != 0:
            sys.exit(f"{command} ended with {process.returncode}")
        return process.stdout.read(), ended, (ended - began) / 1e9, most


def main():
    pronk, python = os.path.abspath(sys.argv[1]), sys.argv[2]
    print("| samples a second | CPU time | samples | functions | runs on for | most memory | profile |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        for frequency, seconds in [(1000, 15), (1000, 30), (1000, 60), (20000, 60)]:
            command = [pronk, "record", "-F", frequency, "-o", "x.pronk", "--", python, BIG, seconds]
            stdout, ended, _, memory = watch(command)
            report = json.loads(subprocess.run([pronk, "report", "x.pronk", "--json"], capture_output=True, check=True).stdout)
            size = os.path.getsize("x.pronk") / 1e6
            print(f"| {frequency:,} | {seconds} s | {report['samples']:,} | {len(report['functions']):,} "
                  f"| {(ended - int(stdout)) / 1e9:.2f} s | {memory:.0f} MiB | {size:.1f} MB |", flush=True)
        print("\n| verb | takes | most memory |\n|---|---|---|")
        for verb in (["flamegraph", "x.pronk", "-o", "x.svg"], ["report", "x.pronk"]):
            _, _, took, memory = watch([pronk, *verb])
            print(f"| `pronk {verb[0]}` | {took:.2f} s | {memory:.0f} MiB |", flush=True)


main()
