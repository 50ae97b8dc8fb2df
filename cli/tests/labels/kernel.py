"""System calls within blocks with labels and without, in functions whose names say which labels their samples have."""

import sys
import time

import pronk

SECONDS = float(sys.argv[1])
FILE = open("/dev/zero", "rb", buffering=0)
ROOM = bytearray(1 << 20)


def fill():
    until = time.thread_time() + SECONDS
    while time.thread_time() < until:
        FILE.readinto(ROOM)


def must():
    fill()


def must__where_block():
    fill()


for _ in range(4):
    must()
    with pronk.label(where="block"):
        must__where_block()
