"""How late the event loop is: what everything in the process waits for when it is busy."""

import asyncio
from typing import Final

from prometheus_client import CollectorRegistry, Histogram

_INTERVAL: Final = 0.1
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class EventLoopLag:
    """Sleeps for a tenth of a second, again and again, and notes how much longer it took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag = Histogram(
            "featom_event_loop_lag_seconds",
            "How late the event loop wakes a task, looked at ten times a second.",
            buckets=_BUCKETS,
            registry=registry,
        )

    async def measure(self) -> None:
        """Measure for ever."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + _INTERVAL
            await asyncio.sleep(_INTERVAL)
            self._lag.observe(max(0.0, clock() - due))
