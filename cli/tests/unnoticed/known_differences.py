"""What a program can see of pronk's hook, because CPython does it for any evaluation function (PEP 523)."""

import sys


def function():
    return sys._getframe().f_back.f_lasti


def call():
    return function()


async def answer():
    return 42


async def ask():
    return await answer()


def exceptions_traced():
    seen = []

    def trace(frame, event, argument):
        if event == "exception":
            seen.append((frame.f_code.co_name, argument[0].__name__))
        return trace

    sys.settrace(trace)
    try:
        ask().send(None)
    except StopIteration:
        pass
    sys.settrace(None)
    return seen


for _ in range(100):
    call()
print("size", sys.getsizeof(function.__code__))
print("f_lasti", call())
for _ in range(100):
    try:
        ask().send(None)
    except StopIteration:
        pass
print("exceptions", exceptions_traced())
