"""An asyncio server with 200 connections, each served by a task of its own with work of its own size.

At its end it says how much CPU time each task and each tenant took, and how much of it was more than they wanted: a virtual
machine that its host holds up has used CPU time in which it did not run.
"""

import asyncio
import collections
import json
import sys
import time

import pronk

CONNECTIONS = 200
TENANTS = ["red", "green", "blue", "white", "black"]
SECONDS = float(sys.argv[1])
BY_TASK = collections.Counter()
BY_TENANT = collections.Counter()
HELD_UP = 0.0


def work(seconds):
    """Burns CPU time; returns how much it was."""
    global HELD_UP
    start = time.thread_time()
    while (took := time.thread_time() - start) < seconds:
        for _ in range(50):
            pass
    HELD_UP += took - seconds
    return took


async def serve(reader, writer):
    asyncio.current_task().set_name(f"connection-{(await reader.readline()).decode().strip()}")
    while line := await reader.readline():
        number = int(line)
        tenant = TENANTS[number % len(TENANTS)]
        with pronk.label(tenant=tenant):
            # In halves, between which others run.
            for _ in range(2):
                took = work(share_of(number) * SECONDS / ROUNDS / 2)
                BY_TASK[f"connection-{number}"] += took
                BY_TENANT[tenant] += took
                await asyncio.sleep(0)
        writer.write(b"done\n")
    writer.close()


ROUNDS = 3


def share_of(number):
    """From a little to a lot: the first connections take most."""
    weights = [1 / (1 + other) for other in range(CONNECTIONS)]
    return weights[number] / sum(weights)


async def use(port, number):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{number}\n".encode())
    for _ in range(ROUNDS):
        writer.write(f"{number}\n".encode())
        await reader.readline()
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await asyncio.gather(*(use(port, number) for number in range(CONNECTIONS)))
    server.close()


asyncio.run(main())
print(json.dumps({"task": BY_TASK, "tenant": BY_TENANT, "total": time.process_time(), "held_up": HELD_UP}))
