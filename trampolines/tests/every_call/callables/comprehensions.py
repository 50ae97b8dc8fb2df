"""Comprehensions. From 3.12 on (PEP 709) they are part of the code around them, and so is the label."""

from notes import run, scenario


@scenario
def comprehend_list():
    [run("list comprehension") for _ in (1,)]


@scenario
def comprehend_set():
    {run("set comprehension") for _ in (1,)}


@scenario
def comprehend_dict():
    {run("dict comprehension"): 1 for _ in (1,)}


@scenario
def comprehend_in_class():
    class Body:
        [run("comprehension in a class body") for _ in (1,)]
