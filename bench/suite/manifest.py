"""Says as JSON which benchmarks a pyperformance has, from its own data files: MANIFEST, and the project files of the benchmarks.

    python manifest.py DIRECTORY_OF_BENCHMARKS
"""

import json
import pathlib
import re
import sys
import tomllib


def entries(manifest):
    """Names and metafiles of the benchmarks, in the section of that name (pyperformance/_manifest.py)."""
    section = None
    for line in manifest.read_text().splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("["):
            section = line
        elif section == "[benchmarks]" and line and line.split() != ["name", "metafile"]:
            yield line.split()


def benchmark(root, name, metafile):
    """A benchmark is the script of its own directory, or that of another one with other options."""
    of_another = re.fullmatch(r"<local:(\w+)>", metafile)
    directory = root / f"bm_{of_another[1] if of_another else name}"
    project = directory / (f"bm_{name}.toml" if of_another else "pyproject.toml")
    data = tomllib.loads(project.read_text())
    oldest = re.fullmatch(r">=3\.(\d+)", data.get("project", {}).get("requires-python", ""))
    return {
        "name": name,
        "directory": directory.name,
        "options": data.get("tool", {}).get("pyperformance", {}).get("extra_opts", []),
        "since": int(oldest[1]) if oldest else 0,
        "variant": bool(of_another),
    }


root = pathlib.Path(sys.argv[1])
print(json.dumps([benchmark(root, *entry) for entry in entries(root / "MANIFEST")], indent=1))
