"""Interpreters that have locks of their own run the same function at the same time."""

import sys
import threading

CODE = """
import os.path

def shared():
    pass

for _ in range(100_000):
    shared()
    os.path.split("a/b")
"""
# Versions name the text that interpreters are given differently.
RUN = f"exec(compile({CODE!r}, 'tests/counts/shared.py', 'exec'), {{'__name__': 'shared'}})"

if sys.version_info >= (3, 13):
    import _interpreters

    create = lambda: _interpreters.create("isolated")  # noqa: E731
    run = _interpreters.run_string
else:
    import _xxsubinterpreters

    create = lambda: _xxsubinterpreters.create(isolated=True)  # noqa: E731
    run = _xxsubinterpreters.run_string

ready = threading.Barrier(4)


def work(interpreter):
    ready.wait()
    assert run(interpreter, RUN) is None


threads = [threading.Thread(target=work, args=(interpreter,)) for interpreter in [create() for _ in range(4)]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
