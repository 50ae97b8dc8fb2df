"""What stands for `_pronk` in a program that is not profiled."""

# Takes anything, and returns what is false, so that a block goes on with its exception. It is written in C: nothing costs
# less than a call of it.
_nothing = "".format


class _Nothing:
    __slots__ = ()
    __enter__ = _nothing
    __exit__ = _nothing


_NOTHING = _Nothing()


def label(**labels):
    """Samples of a `with` block have these labels, if there are any."""
    return _NOTHING


def labels():
    """The labels that a sample would have now: none."""
    return {}


def task(name, coroutine=None):
    """A block, or a coroutine, that is a task with a name."""
    return _NOTHING
