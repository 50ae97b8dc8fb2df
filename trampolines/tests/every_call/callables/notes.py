"""Each callable notes its own runs: the truth about calls, which does not come from the evaluator.

A *run* is one stretch of a callable's body, from where it is entered to where it returns, raises or is suspended. The
body notes it itself, with `run("label")`. The label is then a constant of the body's code object, and of no other: by
that the code object is found. What no body can note is noted by whoever causes it, with a label that has a name:

    made(LABEL)     a generator, coroutine or asynchronous generator was made; none of its body has run yet
    passed(LABEL)   a frame was entered, but only to pass a value on to the one that it awaits, to find that its loop is
                    over, or to raise what was thrown into it: none of its body has run
    closed(LABEL)   a suspended frame that handles no exceptions was closed: there is nothing to run
    dropped(LABEL)  a generator was closed before it began
    thrown(LABEL)   an exception was thrown into a frame that awaits another one, and that other one handled it

What each means for the evaluator on each version of CPython is said in every_call.rs.

A *scenario* is a function that does one thing.
"""

noted = {kind: [] for kind in ("run", "made", "passed", "closed", "dropped", "thrown")}
# Methods of lists, so that noting is never a call of a Python function.
run, made, passed, closed, dropped, thrown = (notes.append for notes in noted.values())

scenarios = []
scenario = scenarios.append
