"""Calls functions, says something, and ends as it is asked to.

    program.py [--burn SECONDS] [--status N] [--log FILE] [--hang-at N]

With --burn it uses CPU time. With --log it notes what it was given in FILE. With --hang-at it makes FILE.hangs the Nth time that it runs, and does
not end then before it is asked to; then it makes FILE.asked.
"""

import os
import signal
import sys
import time


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def main():
    arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    fibonacci(15)
    while time.process_time() < float(arguments.get("--burn", 0)):
        fibonacci(10)
    print("the program speaks")
    print("the program complains", file=sys.stderr)
    log = arguments.get("--log")
    if log:
        with open(log, "a") as file:
            file.write(f"{__name__} {sys.argv}\n")
        with open(log) as file:
            runs = len(file.readlines())
        if runs == int(arguments.get("--hang-at", 0)):
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(open(log + ".asked", "w").close()))
            with open(log + ".hangs.new", "w") as file:
                file.write(f"{os.getpid()}")
            os.rename(log + ".hangs.new", log + ".hangs")
            while True:
                time.sleep(1000)
    sys.exit(int(arguments.get("--status", 0)))


main()
