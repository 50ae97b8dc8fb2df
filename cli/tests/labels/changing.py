"""Arguments whose attributes come, go and change their place all the time, in several threads."""

import sys
import threading
import time

SECONDS = float(sys.argv[1])


class Plain:
    pass


class Slotted:
    __slots__ = ("path",)


class Derived(Slotted):
    kind = "class"


def change(target, names):
    """Its attributes are with the object, in a dictionary, in a larger one, and nowhere."""
    until = time.thread_time() + SECONDS
    while time.thread_time() < until:
        target.path = "value"
        for name in names:
            setattr(target, name, name)
        for name in names:
            delattr(target, name)
        del target.path
        target.path = "value"
        if names:
            target.__dict__ = {"path": "value"}


def change_class(target):
    until = time.thread_time() + SECONDS
    while time.thread_time() < until:
        target.__class__ = type("Made", (Derived,), {"__slots__": (), "path_of_class": "value"})
        target.path = "value"


few, many = [], [f"attribute_{number}" for number in range(100)]
shared = Plain()
threads = [
    threading.Thread(target=change, args=(Plain(), few)),
    threading.Thread(target=change, args=(Plain(), many)),
    threading.Thread(target=change, args=(shared, many)),
    threading.Thread(target=change, args=(shared, many[:5])),
    threading.Thread(target=change, args=(Slotted(), few)),
    threading.Thread(target=change_class, args=(Derived(),)),
]
# Two threads take each other's attributes away.
threading.excepthook = lambda arguments: None
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("end")
