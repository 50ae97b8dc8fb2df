"""Runs a script or a module as Python would, and counts its calls meanwhile: what any profiler in Python costs at the least.

    python counter.py setprofile|monitoring OUTPUT (SCRIPT | -m MODULE) [ARGUMENT]...
"""

import os
import runpy
import sys


def main(way, output, program, *arguments):
    calls = 0

    def called(code, offset):
        nonlocal calls
        calls += 1

    def profile(frame, event, argument):
        nonlocal calls
        if event == "call":
            calls += 1

    own = os.path.dirname(os.path.realpath(__file__))
    if program == "-m":
        first_place = os.getcwd()
        run = lambda: runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        sys.argv = list(arguments)
    else:
        first_place = os.path.dirname(os.path.realpath(program))
        run = lambda: runpy.run_path(program, run_name="__main__")
        sys.argv = [program, *arguments]
    # Modules are looked for where they would be without the counter; nowhere of that kind with -I and -P.
    if sys.path[0] == own:
        sys.path[0] = first_place
    try:
        if way == "setprofile":
            import threading

            threading.setprofile(profile)
            sys.setprofile(profile)
        else:
            monitoring = sys.monitoring
            monitoring.use_tool_id(monitoring.PROFILER_ID, "counter")
            monitoring.register_callback(monitoring.PROFILER_ID, monitoring.events.PY_START, called)
            monitoring.set_events(monitoring.PROFILER_ID, monitoring.events.PY_START)
        run()
    finally:
        if way == "setprofile":
            sys.setprofile(None)
        else:
            monitoring.set_events(monitoring.PROFILER_ID, 0)
        with open(output, "w") as file:
            file.write(f"{calls}\n")


main(*sys.argv[1:])
