"""Functions that C calls back."""

import ctypes
import functools
import signal
import sys
import threading
import weakref

from notes import run, scenario


@scenario
def call_sort_key():
    def key(item):
        run("sort key")
        return -item

    sorted([1, 2, 3], key=key)
    max([1, 2], key=key)


@scenario
def call_map():
    list(map(lambda item: run("map"), [1, 2, 3, 4]))


@scenario
def call_filter():
    list(filter(lambda item: run("filter"), [1, 2, 3]))


@scenario
def call_reduce():
    functools.reduce(lambda a, b: run("functools.reduce"), [1, 2, 3, 4])


@scenario
def call_cmp_to_key():
    def compare(a, b):
        run("functools.cmp_to_key")
        return a - b

    sorted([1, 2], key=functools.cmp_to_key(compare))


@scenario
def call_iter_sentinel():
    values = [0, 1, 1]

    def take():
        run("iter() with a sentinel")
        return values.pop()

    list(iter(take, 0))


@scenario
def call_ctypes_callback():
    def callback():
        run("ctypes callback")
        return 0

    ctypes.CFUNCTYPE(ctypes.c_int)(callback)()


@scenario
def call_weakref_callback():
    target = set()
    reference = weakref.ref(target, lambda dead: run("weakref callback"))
    del target
    assert reference() is None


@scenario
def call_signal_handler():
    def handler(number, frame):
        run("signal handler")

    before = signal.signal(signal.SIGUSR1, handler)
    signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def traced():
    run("traced function")


@scenario
def call_trace_function():
    def tracer(frame, event, argument):
        run("trace function")
        return None

    sys.settrace(tracer)
    traced()
    sys.settrace(None)


@scenario
def call_profile_function():
    def profiler(frame, event, argument):
        run("profile function")

    sys.setprofile(profiler)
    traced()
    sys.setprofile(None)


if sys.version_info >= (3, 12):

    @scenario
    def call_monitoring_callback():
        def started(code, offset):
            run("sys.monitoring callback")

        monitoring, start = sys.monitoring, sys.monitoring.events.PY_START
        monitoring.use_tool_id(monitoring.PROFILER_ID, "callables")
        monitoring.register_callback(monitoring.PROFILER_ID, start, started)
        monitoring.set_local_events(monitoring.PROFILER_ID, traced.__code__, start)
        traced()
        monitoring.free_tool_id(monitoring.PROFILER_ID)


def in_thread():
    run("thread's target")


@scenario
def start_thread():
    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()


class InThread(threading.Thread):
    def run(self):
        run("Thread.run")


@scenario
def start_thread_subclass():
    thread = InThread()
    thread.start()
    thread.join()
