"""What a program sees of its memory and its objects."""

import gc
import sys
import tracemalloc
import weakref


def work():
    return [object() for _ in range(100)]


def function(x):
    return x


class Thing:
    def method(self):
        return weakref.ref(self)


for _ in range(3):
    work(), function(1), Thing().method()
code = function.__code__
print(sys.getrefcount(code), sys.getrefcount(function), sys.getrefcount(Thing), hash(code) == hash(code))
print(code == compile("def function(x): pass", "f", "exec").co_consts[0], sorted(dir(code)), sorted(dir(function)))
print(len(gc.get_referrers(code)), [type(referrer).__name__ for referrer in gc.get_referents(function)])

gc.collect()
before = len(gc.get_objects())
kept = work()
lists = [[] for _ in range(50)]
gc.collect()
print(len(gc.get_objects()) - before, gc.get_count(), gc.get_threshold(), gc.isenabled(), len(gc.garbage))
before = sys.getallocatedblocks()
for _ in range(1000):
    function(2)
print(sys.getallocatedblocks() - before)

# A function's first call takes 16 bytes more with a hook that keeps something in co_extra: those of tracemalloc itself
# are called before it counts.
tracemalloc.start(5)
tracemalloc.take_snapshot().filter_traces([]).compare_to(tracemalloc.take_snapshot(), "traceback")
tracemalloc.stop()
tracemalloc.start(5)
first = tracemalloc.take_snapshot()
text = list(map(str, range(100, 300)))
kept = work()
second = tracemalloc.take_snapshot()
own = [tracemalloc.Filter(True, __file__)]
for difference in sorted(map(str, second.filter_traces(own).compare_to(first.filter_traces(own), "traceback"))):
    print(difference)
tracemalloc.stop()


def make():
    def made():
        return 1

    return made


class Deleted:
    def __del__(self):
        print("deleted")


def dies():
    deleted = Deleted()
    reference = weakref.ref(deleted)
    del deleted
    return reference()


print(dies())
# Code that is made, run and thrown away again and again, so that addresses are used again.
codes = set()
for number in range(2000):
    functions = {}
    exec("def made(x):\n    return x + %d" % number, functions)
    assert functions["made"](1) == number + 1
    codes.add(id(functions["made"].__code__))
print(make()(), gc.collect() >= 0)
