"""A thread that works in an interpreter of its own."""
import sys
import threading

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

CODE = """
import time
def in_another():
    time.sleep(1000)
print("ready", flush=True)
in_another()
"""


def run():
    interpreter = interpreters.create()
    interpreters.run_string(interpreter, CODE)


threading.Thread(target=run, name="other", daemon=True).start()
sys.stdin.readline()
print("done", flush=True)
sys.stdout.flush()
import os
os._exit(0)
