"""Starts a process in each way that there is, once a line has come, and works in each under a name of its own.

With two arguments it is such a process: the way, and how.
"""

import multiprocessing
import os
import shlex
import subprocess
import sys
import time
import warnings

# CPython counts the agent's thread (docs/attaching.md, "Limits").
warnings.simplefilter("ignore", DeprecationWarning)


def burn():
    end = time.process_time() + 0.05
    while time.process_time() < end:
        sum(range(100))


# One function for each way, so that a stack says in which process it was.
WAYS = "parent forked run with_environment shell executed spawned found spawn forkserver".split()
for way in WAYS:
    exec("def of_{0}():\n    burn()".format(way))


def work(way):
    globals()["of_" + way]()


def command(way):
    return [sys.executable, __file__, "work", way]


def fork(then):
    child = os.fork()
    if child == 0:
        then()
        os._exit(0)
    os.waitpid(child, 0)


def by_multiprocessing(method):
    context = multiprocessing.get_context(method)
    process = context.Process(target=work, args=[method])
    process.start()
    process.join()


def main():
    print("ready", flush=True)
    sys.stdin.readline()
    work("parent")
    fork(lambda: work("forked"))
    subprocess.run(command("run"))
    subprocess.run(command("with_environment"), env={"LANG": "C"})
    subprocess.run(" ".join(map(shlex.quote, command("shell"))) + "; exit 0", shell=True)
    fork(lambda: os.execv(sys.executable, command("executed")))
    os.waitpid(os.posix_spawn(sys.executable, command("spawned"), os.environ), 0)
    os.waitpid(os.posix_spawnp(sys.executable, command("found"), {"PATH": "/bin"}), 0)
    by_multiprocessing("spawn")
    by_multiprocessing("forkserver")
    print("done", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        work(sys.argv[2])
    else:
        main()
