"""More blocks with labels than can be told of, and in between functions that say in their names which labels they have."""

import sys
import time

import pronk


def make(name):
    source = f"""
def {name}():
    until = clock() + 0.005
    while clock() < until:
        for _ in range(50):
            pass
"""
    names = {"clock": time.thread_time}
    exec(source, names)
    return names[name]


def flood(blocks):
    for number in range(blocks):
        with pronk.label(number=number % 7):
            pass


def main(turns, blocks):
    nothing = make("must")
    for turn in range(turns):
        inside = make(f"must__turn_{turn}")
        with pronk.label(turn=turn):
            inside()
            flood(blocks)
            inside()
        nothing()
        flood(blocks)
        nothing()


main(int(sys.argv[1]), int(sys.argv[2]))
