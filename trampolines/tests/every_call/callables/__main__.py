"""Calls each kind of Python callable, and says how often its body ran.

Standard output gets a table with a header and a line for each label (see notes.py): the label, how often each kind of
note was taken, and the file, the first line and the name of the code object; all separated by tabs.
"""

import collections
import gc
import types

import callbacks
import classes
import comprehensions
import coroutines
import functions
import generated_code
import generators
import imported
import special_methods
import subinterpreters
from notes import noted, scenarios


def code_objects(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from code_objects(constant)


def labelled_code():
    """For each text, the code objects that have it as a constant."""
    codes = collections.defaultdict(set)
    modules = callbacks, classes, comprehensions, coroutines, functions, generated_code, generators, special_methods
    bodies = [module.__loader__.get_code(module.__name__) for module in modules]
    # The bodies of these modules only give names to labels.
    tops = {constant for body in bodies for constant in body.co_consts if isinstance(constant, types.CodeType)}
    tops.update(generated_code.generated)
    tops.update([subinterpreters.code, imported.__loader__.get_code("imported")])
    for top in tops:
        for code in code_objects(top):
            for constant in code.co_consts:
                if isinstance(constant, str):
                    codes[constant].add(code)
    return codes


def main():
    gc.disable()  # Nothing is to be collected at a moment that nobody knows.
    # Each scenario runs a number of times that is its own, so that no count is right by mistake, and often enough for
    # the interpreter to specialize and inline what it can.
    for times, scenario in enumerate(scenarios, 50):
        for _ in range(times):
            scenario()

    codes = labelled_code()
    counts = {kind: collections.Counter(notes) for kind, notes in noted.items()}
    print("label", *noted, "file", "first line", "name", sep="\t")
    for label in sorted(set().union(*counts.values())):
        (code,) = codes[label]
        numbers = (counts[kind][label] for kind in noted)
        print(label, *numbers, code.co_filename, code.co_firstlineno, code.co_name, sep="\t")


main()
