"""A server that forks its workers before it serves, once a line has come: each says its number, and works for each request."""

import os
import socket
import sys
import time
import warnings

# CPython counts the agent's thread (docs/attaching.md, "Limits").
warnings.simplefilter("ignore", DeprecationWarning)


def serve(connection, number):
    end = time.process_time() + 0.01
    while time.process_time() < end:
        sum(range(100))
    connection.sendall(b"%d\n" % number)


def work(server, number):
    while True:
        connection, _ = server.accept()
        with connection:
            serve(connection, number)


def main(workers):
    print("ready", flush=True)
    sys.stdin.readline()
    # Each worker has an address of its own, so that a client can come by all of them.
    children = []
    for number in range(workers):
        server = socket.socket()
        server.bind(("127.0.0.1", 0))
        server.listen()
        child = os.fork()
        if child == 0:
            # The only one of its name.
            work(server, number)
        children.append(child)
        print(server.getsockname()[1], flush=True)
        server.close()
    sys.stdin.readline()
    for child in children:
        os.kill(child, 15)
        os.waitpid(child, 0)


main(int(sys.argv[1]))
