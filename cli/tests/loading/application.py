"""A WSGI application that works for a moment per request."""

import time


def in_worker():
    end = time.process_time() + 0.1
    while time.process_time() < end:
        sum(range(1000))


def application(environment, start_response):
    in_worker()
    start_response("200 OK", [("content-length", "5")])
    return [b"done\n"]
