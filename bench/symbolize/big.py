"""A program with very many functions: works with much of the standard library for some seconds of CPU time.

Prints in the end by the monotonic clock when that was, in nanoseconds.
"""

import ast
import collections
import configparser
import copy
import csv
import decimal
import difflib
import email
import fractions
import html.parser
import inspect
import io
import json
import logging
import os
import pickle
import pprint
import random
import re
import sqlite3
import statistics
import string
import sys
import textwrap
import time
import tokenize
import xml.dom.minidom
import zlib

SECONDS = float(sys.argv[1])
LIBRARY = os.path.dirname(os.__file__)
PATHS = [os.path.join(LIBRARY, name) for name in sorted(os.listdir(LIBRARY)) if name.endswith(".py")]
SOURCES = [path for path in PATHS if os.path.isfile(path)]
RANDOM = random.Random(1)
GENERATED = 5000


def generated():
    """Functions of many files, each of which does its own little thing."""
    functions = []
    for number in range(GENERATED):
        names = {}
        source = f"def step_{number}(value):\n    value += {number}\n    return helper_{number}(value) % 1000\n" \
                 f"def helper_{number}(value):\n    return sum(range(value % 50))\n"
        exec(compile(source, f"/generated/module_{number // 25}.py", "exec"), names)
        functions.append(names[f"step_{number}"])
    return functions


STEPS = generated()


def a_source():
    with open(RANDOM.choice(SOURCES), encoding="utf-8") as file:
        return file.read()[:20_000]


def steps():
    value = 0
    for step in RANDOM.sample(STEPS, 500):
        value = step(value)


def trees():
    path = RANDOM.choice(SOURCES)
    with open(path, encoding="utf-8") as file:
        source = file.read()
    if len(source) < 60_000:
        tree = ast.parse(source)
        for node in ast.walk(tree):
            ast.get_docstring(node) if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else None
        compile(tree, path, "exec")


def tokens():
    try:
        collections.Counter(token.type for token in tokenize.generate_tokens(io.StringIO(a_source()).readline))
    except (tokenize.TokenError, SyntaxError, IndentationError):
        pass


def documents():
    data = {str(number): {"values": [number, str(number), None, number / 7], "more": {"deep": [1] * 5}} for number in range(50)}
    json.loads(json.dumps(data, indent=1))
    pickle.loads(pickle.dumps(copy.deepcopy(data)))
    pprint.pformat(data)


def texts():
    first, second = a_source().splitlines()[:60], a_source().splitlines()[:60]
    list(difflib.unified_diff(first, second))
    textwrap.fill(" ".join(first), 60)
    re.sub(r"(\w+)\s*=\s*(\w+)", r"\2=\1", "\n".join(second))
    string.Template("$a and $b").substitute(a=1, b=2)


def markup():
    html.parser.HTMLParser().feed("<div class='a'><p>text &amp; more</p></div>" * 50)
    xml.dom.minidom.parseString("<r>" + "<e a='1'>text</e>" * 50 + "</r>").toprettyxml()
    email.message_from_string("From: a@example.org\nTo: b@example.org\nSubject: s\n\n" + "line\n" * 50).as_string()


def numbers():
    decimal.Decimal(2).sqrt()
    sum((fractions.Fraction(1, number) for number in range(1, 40)), fractions.Fraction())
    statistics.stdev([RANDOM.random() for _ in range(200)])


def tables():
    database = sqlite3.connect(":memory:")
    database.execute("create table t (a, b)")
    database.executemany("insert into t values (?, ?)", [(number, str(number)) for number in range(200)])
    database.execute("select b, sum(a) from t group by b order by 2").fetchall()
    database.close()
    buffer = io.StringIO()
    csv.writer(buffer).writerows([[1, "two", 3.0]] * 100)
    list(csv.reader(io.StringIO(buffer.getvalue())))
    configparser.ConfigParser().read_string("[a]\nb = c\nd = %(b)s\n")
    zlib.compress(buffer.getvalue().encode())


def objects():
    for function in (json.dumps, copy.deepcopy, logging.getLogger, decimal.Decimal.from_float):
        inspect.signature(function)
    log = logging.Logger("quiet")
    log.addHandler(logging.StreamHandler(io.StringIO()))
    for number in range(20):
        log.info("message %d", number)


WORK = [steps, trees, tokens, documents, texts, markup, numbers, tables, objects]

while time.process_time() < SECONDS:
    RANDOM.choice(WORK)()
print(time.monotonic_ns())
