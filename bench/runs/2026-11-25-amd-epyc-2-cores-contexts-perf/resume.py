import asyncio, time, sys
async def inner(): return 1
async def nested(n):
    t=time.thread_time_ns()
    for _ in range(n): await inner()
    return (time.thread_time_ns()-t)/n
async def steps(n):
    for _ in range(n): await asyncio.sleep(0)
class Y:
    def __await__(self): yield
async def byhand(n):
    y=Y()
    for _ in range(n): await y
async def main():
    best=1e9
    for _ in range(5): best=min(best, await nested(100000))
    b2=1e9
    for _ in range(5):
        t=time.thread_time_ns(); await asyncio.gather(*(steps(2000) for _ in range(10))); b2=min(b2,(time.thread_time_ns()-t)/20000)
    b3=1e9
    for _ in range(5):
        c=byhand(100000); t=time.thread_time_ns()
        try:
            while 1: c.send(None)
        except StopIteration: pass
        b3=min(b3,(time.thread_time_ns()-t)/100000)
    print(sys.version.split()[0], f"await inner() {best:.0f} ns, task step {b2:.0f} ns, send by hand {b3:.0f} ns", flush=True)
if len(sys.argv)>1: sys.path.insert(0,sys.argv[1]); import pronk
asyncio.run(main())
