#!/usr/bin/env python3
"""A thread pool that works through a queue of different jobs, and a thread that reports on it.

Some jobs are Python and hold the interpreter's lock, some are C that lets go of it, some wait.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import itertools
import random
import re
import sys
import threading
import time
import zlib

WORDS = "pronk spring leap herd grass river plain dawn dust horn hoof wind track shade stone".split()


def name_this_thread(name):
    """Tells the kernel the thread's name, as CPython itself does from 3.14 on."""
    try:
        with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w") as comm:
            comm.write(name)
    except OSError:
        pass  # A name is a convenience: /proc may not be there.


class Pool:
    """A pool whose threads have names, in Python and for the kernel."""

    def __init__(self, threads):
        self.numbers = itertools.count()
        self.executor = concurrent.futures.ThreadPoolExecutor(threads, initializer=self.start_worker)

    def start_worker(self):
        name = f"worker-{next(self.numbers)}"
        threading.current_thread().name = name
        name_this_thread(name)

    def __enter__(self):
        self.executor.__enter__()
        return self.executor

    def __exit__(self, *exception):
        return self.executor.__exit__(*exception)


def write_text(seed, length=2000):
    chooser = random.Random(seed)
    return " ".join(chooser.choice(WORDS) for _ in range(length))


def count_words(seed):
    """Python: holds the lock."""
    counts = collections.Counter()
    for word in write_text(seed).split():
        counts[word] += 1
    return counts.most_common(1)[0][1]


def edit_distance(seed):
    """Python: holds the lock."""
    left, right = write_text(seed, 20), write_text(seed + 1, 20)
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


def compress(seed):
    """C: lets go of the lock."""
    data = random.Random(seed).getrandbits(8 * 200_000).to_bytes(200_000, "little") + bytes(200_000)
    return len(zlib.compress(data, 6))


def digest(seed):
    """C: lets go of the lock."""
    block = seed.to_bytes(8, "little") * 50_000
    return hashlib.sha256(block).digest()[0]


def search(seed):
    """C: holds the lock."""
    return len(re.findall(r"\b(\w+) (?:spring|leap) (\w+)\b", write_text(seed)))


def wait(seed):
    """Neither: off the processor."""
    time.sleep(0.002 + seed % 5 / 1000)
    return 0


JOBS = [count_words, edit_distance, compress, digest, search, wait]


class Reporter(threading.Thread):
    """Counts what is finished while the pool works."""

    def __init__(self):
        super().__init__(name="reporter")
        self.finished = collections.Counter()
        self.lock = threading.Lock()
        self.stopped = threading.Event()

    def job_done(self, job, _future):
        with self.lock:
            self.finished[job.__name__] += 1

    def run(self):
        name_this_thread(self.name)
        while not self.stopped.wait(timeout=0.5):
            with self.lock:
                print(f"{sum(self.finished.values())} jobs finished", file=sys.stderr)


def submit_jobs(executor, reporter, more, ahead):
    """Keeps so many jobs waiting or running until there are no more; returns the sum of their results."""
    total = 0
    running = set()
    for number in itertools.count():
        if not more(number):
            break
        job = JOBS[number % len(JOBS)]
        future = executor.submit(job, number)
        future.add_done_callback(lambda future, job=job: reporter.job_done(job, future))
        running.add(future)
        if len(running) >= ahead:
            done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            total += sum(future.result() for future in done)
    return total + sum(future.result() for future in running)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="time to run (default: %(default)s)")
    parser.add_argument("--rounds", type=int, help="do exactly so many jobs of each kind instead")
    parser.add_argument("--threads", type=int, default=4, help="threads of the pool (default: %(default)s)")
    arguments = parser.parse_args()

    end = time.monotonic() + arguments.seconds

    def more(number):
        return time.monotonic() < end if arguments.rounds is None else number < arguments.rounds * len(JOBS)

    reporter = Reporter()
    reporter.start()
    try:
        with Pool(arguments.threads) as executor:
            total = submit_jobs(executor, reporter, more, ahead=arguments.threads * 4)
    finally:
        reporter.stopped.set()
        reporter.join()
    counts = ", ".join(f"{job.__name__} {reporter.finished[job.__name__]}" for job in JOBS)
    print(f"{sum(reporter.finished.values())} jobs on {arguments.threads} threads ({counts}); results add up to {total}")


if __name__ == "__main__":
    main()
