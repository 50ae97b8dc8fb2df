"""Recurses in every way whose depth a hook could change, and prints how deep it came."""

import sys
import threading


def descend(levels):
    return 0 if levels == 0 else 1 + descend(levels - 1)


def depth_at_limit():
    depth = 0

    def deeper():
        nonlocal depth
        depth += 1
        deeper()

    try:
        deeper()
    except RecursionError as error:
        return depth, type(error).__name__


def generators(levels):
    if levels:
        yield from generators(levels - 1)
    yield levels


class Attribute:
    def __getattr__(self, name):
        levels = int(name[1:])
        return levels if levels == 0 else 1 + getattr(self, f"x{levels - 1}")


print("limit", sys.getrecursionlimit(), "depth", depth_at_limit())
print("through C", getattr(Attribute(), "x200"))
print("generators", sum(generators(500)))

raised = int(sys.argv[1])
sys.setrecursionlimit(raised)
print("raised", descend(raised - 100), depth_at_limit())

# Calls at the depth where stubs stop and start again, and deeper, and back.
print("again", [descend(levels) for levels in range(0, raised - 200, raised // 40)])

small = []
if sys.version_info >= (3, 11):
    # Frames of these versions live on the heap: a small stack is no limit.
    threading.stack_size(256 * 1024)
    thread = threading.Thread(target=lambda: small.append(descend(raised - 100)))
    thread.start()
    thread.join()
print("in a small thread", small)
