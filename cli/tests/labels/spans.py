"""Spans of OpenTelemetry, where each function that burns time says in its name which span and which trace its samples have."""

import asyncio
import sys
import threading

from burning import burner
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

SECONDS = float(sys.argv[1])


class Counting(RandomIdGenerator):
    """Traces have numbers that are known before: the highest bits are used, too."""

    number = 0x80000000_00000000_00000000_00000000

    def generate_trace_id(self):
        Counting.number += 1
        return Counting.number


trace.set_tracer_provider(TracerProvider(id_generator=Counting()))
tracer = trace.get_tracer("tests")
FIRST = Counting.number


def burn(span=None, number=None):
    labels = [] if span is None else [f"span_{span}"]
    labels += [] if number is None else [f"trace_{FIRST + number:032x}"]
    burner("__".join(["must", *labels]), SECONDS)()


def synchronous():
    burn()
    with tracer.start_as_current_span("first"):
        burn("first", 1)
        with tracer.start_as_current_span("nested") as span:
            burn("nested", 1)
            span.update_name("renamed")
            burn("renamed", 1)
        burn("first", 1)
        token = context.attach(context.set_value("baggage", 1))
        burn("first", 1)
        context.detach(token)
        # A thread begins without a span.
        thread = threading.Thread(target=burn)
        thread.start()
        thread.join()
    burn()
    with tracer.start_as_current_span("second"):
        burn("second", 2)
    # What comes from another process has no name here.
    remote = SpanContext(FIRST + 77, 5, True, TraceFlags(1))
    with trace.use_span(NonRecordingSpan(remote)):
        burn(None, 77)
        with tracer.start_as_current_span("continued"):
            burn("continued", 77)
    with trace.use_span(trace.INVALID_SPAN):
        burn()
    # One that is not current has no samples.
    tracer.start_span("aside").end()
    burn()


async def request(name, number):
    with tracer.start_as_current_span(name, context=context.Context()):
        for _ in range(3):
            burn(name, number)
            await asyncio.sleep(0)
        await asyncio.create_task(inherits(name, number))
        await asyncio.to_thread(burn, name, number) if hasattr(asyncio, "to_thread") else None


async def inherits(name, number):
    burn(name, number)
    await asyncio.sleep(0)
    burn(name, number)


async def main():
    burn()
    await asyncio.gather(request("one", 4), request("other", 5))
    burn()


# The variable is looked for where modules are imported, and once in 64 samples.
burner("warm_up", 0.05)()
synchronous()
asyncio.run(main())
