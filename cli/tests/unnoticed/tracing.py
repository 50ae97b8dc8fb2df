"""What trace functions, profile functions and monitoring tools see."""

import os
import sys

HERE = os.path.abspath(__file__)


def numbers(count):
    for number in range(count):
        yield number * 2


class Point:
    def __init__(self, x):
        self.x = x

    @property
    def double(self):
        return self.x * 2

    def __eq__(self, other):
        return self.x == other.x


def fail():
    raise KeyError("x")


def traced():
    total = sum(numbers(3))
    points = [Point(x) for x in (1, 2)]
    total += sum(point.double for point in points)
    try:
        fail()
    except KeyError:
        total += points[0] == points[1]
    total += sorted([3, 1, 2], key=lambda value: -value)[0]
    total += max(map(lambda value: value + 1, range(3)))
    with open(os.devnull) as file:
        file.read()
    return total


def show(*event):
    print(*event)


def trace(frame, event, argument):
    if frame.f_code.co_filename != HERE:
        return None
    caller = frame.f_back.f_code.co_name if frame.f_back else None
    show("trace", event, frame.f_code.co_name, frame.f_lineno, "from", caller, sorted(frame.f_locals))
    if frame.f_code.co_name == "__eq__":
        frame.f_trace_opcodes = True
    return trace


def profile(frame, event, argument):
    what = argument.__name__ if event.startswith("c_") else frame.f_code.co_name
    show("profile", event, what, frame.f_lineno)


def monitor():
    monitoring = sys.monitoring
    tool = monitoring.PROFILER_ID
    monitoring.use_tool_id(tool, "test")
    events = [name for name in vars(monitoring.events) if name.isupper() and name != "NO_EVENTS"]
    chosen = 0
    for name in sorted(events):
        if name in ("INSTRUCTION", "BRANCH", "C_RETURN", "C_RAISE"):
            continue

        def callback(code, *arguments, name=name):
            if code.co_filename == HERE and code.co_name not in ("monitor", "callback", "show"):
                # Where a call raises, the caller's instruction is off by the call's own cache, see known_differences.py.
                numbers = [argument for argument in arguments if isinstance(argument, int) and name != "RAISE"]
                show("monitoring", name, code.co_qualname, *numbers)

        monitoring.register_callback(tool, getattr(monitoring.events, name), callback)
        chosen |= getattr(monitoring.events, name)
    monitoring.set_events(tool, chosen)
    result = traced()
    monitoring.set_events(tool, 0)
    monitoring.free_tool_id(tool)
    return result


traced()
sys.settrace(trace)
result = traced()
sys.settrace(None)
print(result)
sys.setprofile(profile)
result = traced()
sys.setprofile(None)
print(result)
if sys.version_info >= (3, 12):
    print(monitor())
print(traced())
