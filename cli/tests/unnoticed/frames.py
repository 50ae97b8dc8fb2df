"""What a program sees of its own frames, locals and tracebacks."""

import asyncio
import inspect
import sys
import traceback
import types


def stack():
    frames, frame = [], sys._getframe(1)
    while frame is not None:
        frames.append((frame.f_code.co_name, frame.f_lineno, sorted(frame.f_locals)))
        frame = frame.f_back
    return frames


def look(a, b=2, *rest, **more):
    local = a + b
    before = locals()
    locals()["invented"] = 1
    late = sorted(locals())
    print(sorted(before), late, stack())
    print([(info.function, info.lineno, info.code_context) for info in inspect.stack(0)])
    return inspect.getargvalues(sys._getframe()).args


class Looker:
    def __init__(self):
        self.seen = look(1)
        print(__class__, super().__init__)

    def __getattr__(self, name):
        return stack()

    def __iter__(self):
        value = yield stack()
        print("sent", value)
        yield from self.more()

    def more(self):
        try:
            yield stack()
        except ValueError as error:
            print("thrown", error, traceback.extract_tb(error.__traceback__))
            yield stack()


async def coroutine():
    await asyncio.sleep(0)
    return stack()


async def main():
    task = asyncio.ensure_future(coroutine())
    await asyncio.sleep(0)
    print([(frame.f_code.co_name, frame.f_lineno) for frame in task.get_stack()])
    print(await task)


def closures():
    counter = 0

    def count():
        nonlocal counter
        counter += 1
        frame = sys._getframe()
        print(frame.f_code.co_freevars, frame.f_locals, frame.f_back.f_locals.keys())

    count()
    count()


def comprehensions():
    print([stack()[0] for _ in range(2)])
    print(list(stack()[0] for _ in range(2)))
    print({key: stack()[:2] for key in "ab"})


def tracebacks():
    try:
        sorted([1], key=lambda _: missing)
    except NameError as error:
        tb = error.__traceback__
        while tb:
            print(tb.tb_frame.f_code.co_name, tb.tb_lineno, sorted(tb.tb_frame.f_locals))
            tb = tb.tb_next
        traceback.print_exc(file=sys.stdout)


def clear_and_keep():
    def inner():
        held = "held"
        return sys._getframe()

    frame = inner()
    print(frame.f_locals, frame.f_back, frame.f_lineno)
    frame.clear()
    print(frame.f_locals)


look(1, 2, 3, c=4)
looker = Looker()
print(looker.anything)
generator = iter(looker)
print(generator.gi_frame.f_lineno, generator.gi_frame.f_lasti, generator.gi_running)
print(next(generator))
print(generator.gi_frame.f_lineno, generator.gi_frame.f_back, sorted(generator.gi_frame.f_locals))
print(generator.send("x"))
print(generator.gi_yieldfrom.gi_frame.f_lineno, inspect.getgeneratorstate(generator))
print(generator.throw(ValueError("y")))
generator.close()
print(generator.gi_frame)
asyncio.run(main())
closures()
comprehensions()
tracebacks()
clear_and_keep()
code = compile("print(stack()[0])", "made.py", "exec")
exec(code)
exec(code.replace(co_name="renamed"))
print(types.FunctionType(look.__code__, {**globals(), "stack": lambda: "replaced"})(5))
