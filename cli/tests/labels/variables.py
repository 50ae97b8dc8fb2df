"""Context variables that are labels, where each function that burns time says in its name which labels its samples have."""

import asyncio
import contextvars
import sys
import threading

import pronk
from burning import burner

SECONDS = float(sys.argv[1])
request_id = contextvars.ContextVar("request_id")
tenant = contextvars.ContextVar("of a tenant", default="nobody")
odd = contextvars.ContextVar("odd")
not_a_variable = "text"


def burn(**labels):
    burner("must" + "".join(f"__{key}_{value}" for key, value in sorted(labels.items())), SECONDS)()


async def request(number):
    request_id.set(number)
    burn(request=number)
    await asyncio.sleep(0)
    token = tenant.set("acme")
    burn(request=number, tenant="acme")
    await asyncio.sleep(0)
    with pronk.label(tenant="block"):
        # A block is nearer than a variable.
        burn(request=number, tenant="block")
        await asyncio.create_task(inherits(number))
    tenant.reset(token)
    burn(request=number)


async def inherits(number):
    with pronk.label(x=1):
        burn(request=number, tenant="acme", x=1)


async def main():
    burn()
    await asyncio.gather(*(request(number) for number in range(3)))
    burn()


def synchronous():
    burn()
    # Values that are neither texts nor whole numbers are no labels; long texts are cut.
    for value in [None, 1.5, object(), b"x", True]:
        request_id.set(value)
        burn()
    request_id.set(-5)
    burn(request="minus")
    request_id.set(2**40)
    burn(request=2**40)
    request_id.set("t")
    thread = threading.Thread(target=burn)
    thread.start()
    thread.join()
    contextvars.Context().run(burn)
    context = contextvars.copy_context()
    request_id.set("u")
    context.run(burn, request="t")
    burn(request="u")
    # Many variables make a trie of several levels.
    many = [contextvars.ContextVar(f"many {number}") for number in range(3000)]
    for one in many:
        one.set(1)
    burn(request="u")


sys.modules["app.web"] = type(sys)("app.web")
sys.modules["app.web"].request_id = request_id
# Variables are looked for where modules are imported, and once in 64 samples.
burner("warm_up", 0.05)()
asyncio.run(main())
synchronous()
