"""Tasks of trio, and greenlets, where each function that burns time says in its name which task runs it."""

import sys

import pronk
from burning import burner

SECONDS = float(sys.argv[2])


def burn(task=""):
    """Burns time, in a function whose name says which task runs it."""
    burner("task__" + task, SECONDS)()


def trio():
    import trio

    async def work(name):
        burn(name)
        await trio.sleep(0)
        burn(name)
        async with trio.open_nursery() as nursery:
            for number in range(2):
                nursery.start_soon(child, f"{name}_{number}", name=f"{name}_{number}")
            burn(name)
        burn(name)

    async def child(name):
        for _ in range(2):
            burn(name)
            await trio.sleep(0)
            # What runs in a thread is run by no task.
            await trio.to_thread.run_sync(burn)

    async def renamed():
        burn("before")
        pronk.set_task_name("after")
        burn("after")
        await trio.sleep(0)
        burn("after")

    async def main():
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(work, f"worker_{number}", name=f"worker_{number}")
            nursery.start_soon(renamed, name="before")

    burn()
    trio.run(main, instruments=[pronk.trio_instrument()])
    burn()


def greenlets():
    from greenlet import greenlet, getcurrent

    def work(name):
        with pronk.task(name):
            for _ in range(3):
                burn(name)
                main.switch()
                with pronk.task(name + "_inner"):
                    burn(name + "_inner")
                    main.switch()
        burn()

    main = getcurrent()
    all_of_them = [greenlet(work) for _ in range(3)]
    for number, one in enumerate(all_of_them):
        one.switch(f"worker_{number}")
        burn()
    while any(not one.dead for one in all_of_them):
        for one in all_of_them:
            if not one.dead:
                one.switch()
            burn()


def blocks():
    burn()
    with pronk.task("a"):
        burn("a")
        with pronk.label(x=1), pronk.task("b"):
            burn("b")
            assert pronk.labels() in ({"x": 1}, {})
        burn("a")
        pronk.snapshot().run(burn, "a")
    burn()


{"trio": trio, "greenlets": greenlets, "blocks": blocks}[sys.argv[1]]()
