"""What the scripts here share."""

import math
import subprocess


def version(python):
    """The version of an interpreter."""
    ask = [python, "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()


def median_interval(values):
    """The outermost order statistics between which the median is with at least 95 %, if there are enough values."""
    values, count = sorted(values), len(values)
    below = 0.0
    for left_out in range(count // 2):
        below += math.comb(count, left_out) / 2**count
        if 2 * below > 0.05:
            return (values[left_out - 1], values[count - left_out]) if left_out else (math.nan, math.nan)
    return math.nan, math.nan
