#!/usr/bin/env python3
"""Takes access logs apart and stores what they say.

Most of its time is spent in C extensions of the standard library: re, json, sqlite3, zlib and hashlib.
"""

import argparse
import hashlib
import json
import random
import re
import sqlite3
import time
import zlib

LINE = re.compile(
    r'(?P<host>\d+\.\d+\.\d+\.\d+) - (?P<user>\S+) \[(?P<time>[^\]]+)\] '
    r'"(?P<method>[A-Z]+) (?P<path>[^ "?]+)(?:\?(?P<query>[^ "]*))? HTTP/[\d.]+" '
    r'(?P<status>\d{3}) (?P<size>\d+) "(?P<referrer>[^"]*)" "(?P<agent>[^"]*)"'
)
PARAMETER = re.compile(r"(?P<name>[^=&]+)=(?P<value>[^&]*)")
AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15",
    "curl/8.9.1",
]


def write_log(lines, seed):
    """An access log in the combined format."""
    chooser = random.Random(seed)

    def line():
        host = ".".join(str(chooser.randint(1, 254)) for _ in range(4))
        path = chooser.choice(["/", "/search", "/item/%d" % chooser.randint(1, 500), "/cart", "/static/app.js"])
        query = "?q=%x&page=%d" % (chooser.getrandbits(32), chooser.randint(1, 20)) if path == "/search" else ""
        status = chooser.choices([200, 304, 404, 500], [90, 5, 4, 1])[0]
        return (
            f'{host} - - [22/Nov/2026:10:{chooser.randint(0, 59):02}:{chooser.randint(0, 59):02} +0000] '
            f'"GET {path}{query} HTTP/1.1" {status} {chooser.randint(100, 50_000)} "-" "{chooser.choice(AGENTS)}"'
        )

    return "\n".join(line() for _ in range(lines))


def parse(log):
    """A dictionary per line."""
    for match in LINE.finditer(log):
        entry = match.groupdict()
        entry["status"] = int(entry["status"])
        entry["size"] = int(entry["size"])
        if entry["query"]:
            entry["query"] = dict(PARAMETER.findall(entry["query"]))
        yield entry


def open_store():
    store = sqlite3.connect(":memory:")
    store.execute("CREATE TABLE requests (host TEXT, path TEXT, status INTEGER, size INTEGER, entry TEXT)")
    store.execute("CREATE INDEX by_path ON requests (path, status)")
    return store


def load(store, entries):
    """Replaces what is stored, so that each round works on as much as the one before."""
    rows = [(e["host"], e["path"], e["status"], e["size"], json.dumps(e)) for e in entries]
    with store:
        store.execute("DELETE FROM requests")
        store.executemany("INSERT INTO requests VALUES (?, ?, ?, ?, ?)", rows)
    return len(rows)


def summarize(store):
    """The paths that sent most, and the shortest and longest query of those that failed."""
    busiest = store.execute(
        "SELECT path, COUNT(*), SUM(size), AVG(size) FROM requests GROUP BY path ORDER BY SUM(size) DESC, path LIMIT 10"
    ).fetchall()
    failed = [
        json.loads(entry)
        for (entry,) in store.execute("SELECT entry FROM requests WHERE status >= 400 ORDER BY host, entry")
    ]
    return {"busiest": busiest, "failed": failed}


def archive(log, summary):
    """Packs the log with its summary, and says what it is by its digest."""
    packed = zlib.compress(log.encode() + json.dumps(summary).encode(), 6)
    if not zlib.decompress(packed).startswith(log[:100].encode()):
        raise ValueError("the archive does not hold the log")
    return len(packed), hashlib.sha256(packed).hexdigest(), hashlib.blake2b(log.encode()).hexdigest()


def run_once(store, log):
    rows = load(store, parse(log))
    summary = summarize(store)
    size, _, digest = archive(log, summary)
    return rows, len(summary["failed"]), size, digest


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="CPU time to use (default: %(default)s)")
    parser.add_argument("--rounds", type=int, help="go through the log exactly so often instead")
    parser.add_argument("--lines", type=int, default=5000, help="lines of the log (default: %(default)s)")
    arguments = parser.parse_args()

    log = write_log(arguments.lines, seed=1)
    store = open_store()
    rounds = 0
    while True:
        if arguments.rounds is None:
            done = rounds > 0 and time.process_time() >= arguments.seconds
        else:
            done = rounds >= max(1, arguments.rounds)
        if done:
            break
        rows, failed, size, digest = run_once(store, log)
        rounds += 1
    store.close()
    print(f"{rounds} times {rows} lines: {failed} failed requests each time; digest {digest[:16]}")


if __name__ == "__main__":
    main()
