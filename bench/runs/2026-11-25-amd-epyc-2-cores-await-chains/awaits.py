"""Tasks that await each other: two, gathered by one, which another awaits as it is, which another waits for, which another shields."""

import asyncio, time, sys
def burn(s):
    u=time.thread_time()+s
    while time.thread_time()<u:
        for _ in range(200): pass
async def leaf():
    for _ in range(200):
        burn(0.005)
        await asyncio.sleep(0)
async def a(): await asyncio.gather(leaf(), leaf())
async def b(): await asyncio.create_task(a())
async def c(): await asyncio.wait_for(asyncio.create_task(b()), 1000)
async def d(): await asyncio.shield(c())
asyncio.run(d())
