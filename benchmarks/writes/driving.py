"""Callers in closed loops: each waits for its answer before it asks again."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass
class Driven:
    """What some callers did in some time."""

    seconds: float = 0
    cpu_seconds: float = 0
    """Processor time of this process."""
    latencies: list[float] = field(default_factory=list)
    """Of the calls that succeeded, in seconds."""
    failures: Counter[str] = field(default_factory=Counter)
    """By the name of the error."""


async def drive(call: Callable[[], Awaitable[object]], callers: int, seconds: float) -> Driven:
    """Have `callers` call over and over for about `seconds`."""
    driven = Driven()
    cpu = time.process_time()
    started = time.perf_counter()
    deadline = started + seconds

    async def caller() -> None:
        begun = time.perf_counter()
        while begun < deadline:
            try:
                await call()
            except Exception as error:
                driven.failures[type(error).__name__] += 1
                begun = time.perf_counter()
            else:
                done = time.perf_counter()
                driven.latencies.append(done - begun)
                begun = done

    await asyncio.gather(*(caller() for _ in range(callers)))
    driven.seconds = time.perf_counter() - started
    driven.cpu_seconds = time.process_time() - cpu
    return driven
