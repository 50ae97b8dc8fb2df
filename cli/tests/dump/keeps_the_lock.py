"""C functions: one keeps the interpreter's lock, one gives it up."""
import ctypes
import threading
import time

started = threading.Event()


def gives_it_up():
    started.set()
    ctypes.CDLL(None).sleep(1000)


def keeps_it():
    ctypes.PyDLL(None).sleep(1000)


threading.Thread(target=gives_it_up, name="gives it up", daemon=True).start()
started.wait()
print("ready", flush=True)
keeps_it()
