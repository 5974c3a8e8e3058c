"""Health, as Kubernetes and load balancers ask for it.

`liveness` says that the event loop turns, and never asks the database: a database that is away must
not restart every server. `readiness`, "" and each service by its full name say that the database
can be reached, its schema fits this build and the server is not draining.
"""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from grpc_health.v1.health_pb2 import HealthCheckResponse

from server.health.service import Statuses
from telemetry.metrics import Metric, gauge

LIVENESS: Final = "liveness"
READINESS: Final = "readiness"
FAILURES_UNTIL_NOT_READY: Final = 2
"""Checks in a row that fail: one alone may be a connection that broke."""

log = logging.getLogger(__name__)


class DatabaseProbe(Protocol):
    """Asks whether the database can serve, on a connection like those that serve."""

    async def check(self) -> str:
        """Return what the database is, for people, if it can serve; must raise within a few seconds
        if not."""

    async def close(self) -> None:
        """Let go of the connection."""


class Health:
    """Publishes the real state of the server."""

    def __init__(self, services: Sequence[str], probe: DatabaseProbe, interval: float) -> None:
        """Probe every `interval` seconds. Not ready until `watch` finds the database well."""
        self.statuses = Statuses()
        self._names = ("", READINESS, *services)
        self._probe = probe
        self._interval = interval
        self._ready: bool | None = None  # not known yet
        self._failures = 0
        self._failed_since = 0.0
        self._why = ""
        self._draining = False
        self.statuses.set({LIVENESS: HealthCheckResponse.SERVING})
        self._publish(HealthCheckResponse.NOT_SERVING)

    async def watch(self) -> None:
        """Probe until cancelled."""
        while True:
            try:
                database = await self._probe.check()
            except Exception as error:
                if not self._failures:
                    self._failed_since = time.monotonic()
                self._failures += 1
                # One failure can be a hiccup; a second one is a state.
                if self._failures >= FAILURES_UNTIL_NOT_READY:
                    self._tell_why(str(error) or type(error).__name__)
                    self._ready = False
                    self._publish(HealthCheckResponse.NOT_SERVING)
            else:
                if not self._ready and not self._draining:
                    log.info("ready: %s%s", database, self._after_failures())
                    self._ready = True
                    self._publish(HealthCheckResponse.SERVING)
                self._failures = 0
                self._why = ""
            await asyncio.sleep(self._interval)

    def end_watches(self) -> None:
        """Let go of who watches, or they would hold up the end of the server until its grace is
        over; they know of the drain by now."""
        self.statuses.end()

    def drain(self) -> None:
        """Publish NOT_SERVING, for good; but the loop still turns, and `liveness` says so."""
        self._draining = True
        self._publish(HealthCheckResponse.NOT_SERVING)

    def metrics(self) -> Iterator[Metric]:
        """See telemetry.metrics.MetricSource."""
        ready = bool(self._ready) and not self._draining
        yield gauge("featom_ready", "1 while `readiness` is SERVING.", ready)
        yield gauge("featom_draining", "1 once the server is stopping.", self._draining)

    def _after_failures(self) -> str:
        if not self._failures:
            return ""
        seconds = time.monotonic() - self._failed_since
        return f", after {seconds:.1f} s in which it was not ({self._failures} checks failed)"

    def _tell_why(self, why: str) -> None:
        """Once for each cause: the next one may be what keeps it from being ready."""
        if why != self._why:
            log.warning("not ready: %s", why)
            self._why = why

    def _publish(self, status: int) -> None:
        self.statuses.set(dict.fromkeys(self._names, status))
