"""Health: the loop turns, and whether the database can serve."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from grpc_health.v1.health_pb2 import HealthCheckResponse

from server.health.health import LIVENESS, READINESS, Health

SERVICE = "featom.v1.FeatureStoreService"
SERVING = HealthCheckResponse.SERVING
NOT_SERVING = HealthCheckResponse.NOT_SERVING


class FakeProbe:
    """Finds the database well or not, as it is told, check by check."""

    def __init__(self) -> None:
        self._verdicts: asyncio.Queue[Exception | None] = asyncio.Queue()
        self._checks = 0
        self._waited = asyncio.Event()

    async def check(self) -> str:
        self._waited.set()
        verdict = await self._verdicts.get()
        self._waited.clear()
        if verdict is not None:
            raise verdict
        return "PostgreSQL 18.4 at db:5432"

    async def close(self) -> None: ...

    async def find(self, *verdicts: Exception | None) -> None:
        """Return once each verdict was given and acted upon."""
        for verdict in verdicts:
            await self._waited.wait()
            self._verdicts.put_nowait(verdict)
            await asyncio.sleep(0)
            self._waited.clear()
        await self._waited.wait()


@asynccontextmanager
async def watched(services: Sequence[str] = (SERVICE,)) -> AsyncIterator[tuple[Health, FakeProbe]]:
    probe = FakeProbe()
    health = Health(services, probe, interval=0.0)
    watch = asyncio.create_task(health.watch())
    try:
        yield health, probe
    finally:
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch


def states(health: Health) -> dict[str, int | None]:
    """What is said of everything that needs the database."""
    return {name: health.statuses.of(name) for name in ("", READINESS, SERVICE)}


def away(reason: str = "away") -> Exception:
    return ConnectionRefusedError(reason)


def all_are(expected: int) -> dict[str, int | None]:
    return dict.fromkeys(("", READINESS, SERVICE), expected)


async def test_before_the_database_was_seen_nothing_but_the_loop_is_well() -> None:
    async with watched() as (health, _):
        assert states(health) == all_are(NOT_SERVING)
        assert health.statuses.of(LIVENESS) == SERVING


async def test_once_the_database_is_well_everything_serves() -> None:
    async with watched() as (health, probe):
        await probe.find(None)
        assert states(health) == all_are(SERVING)


async def test_one_failure_is_a_hiccup_and_a_second_one_is_a_state() -> None:
    async with watched() as (health, probe):
        await probe.find(None, away())
        assert states(health) == all_are(SERVING)
        await probe.find(away())
        assert states(health) == all_are(NOT_SERVING)


async def test_hiccups_that_are_no_row_are_never_a_state() -> None:
    async with watched() as (health, probe):
        for _ in range(5):
            await probe.find(None, away())
        assert states(health) == all_are(SERVING)


async def test_a_database_that_comes_back_is_served_at_once() -> None:
    async with watched() as (health, probe):
        await probe.find(None, away(), away(), away(), None)
        assert states(health) == all_are(SERVING)


async def test_liveness_never_asks_the_database() -> None:
    async with watched() as (health, probe):
        await probe.find(away(), away(), away())
        assert health.statuses.of(LIVENESS) == SERVING


async def test_why_the_server_is_not_ready_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "server.health.health")
    async with watched() as (_, probe):
        await probe.find(away("no route"), away("no route"), away("no route"))
        assert [record.getMessage() for record in caplog.records] == ["not ready: no route"]
        await probe.find(None, None)
        await probe.find(TimeoutError(), TimeoutError(), TimeoutError())
    ready, unready = (record.getMessage() for record in caplog.records[1:])
    assert ready.startswith("ready: PostgreSQL 18.4 at db:5432, after ")
    assert ready.endswith(" s in which it was not (3 checks failed)")
    assert unready == "not ready: TimeoutError"


async def test_a_server_that_is_ready_at_once_says_what_it_has_found(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "server.health.health")
    async with watched() as (_, probe):
        await probe.find(None, None)
    assert [record.getMessage() for record in caplog.records] == [
        "ready: PostgreSQL 18.4 at db:5432"
    ]


async def test_another_reason_why_the_server_is_not_ready_is_logged_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with watched() as (_, probe):
        await probe.find(*(away(why) for why in ("a", "a", "a", "b", "b", "a")))
    said = [record.getMessage() for record in caplog.records]
    assert said == ["not ready: a", "not ready: b", "not ready: a"]


async def test_a_draining_server_is_not_ready_and_stays_so() -> None:
    async with watched() as (health, probe):
        await probe.find(None)
        health.drain()
        assert states(health) == all_are(NOT_SERVING)
        await probe.find(away(), away(), None)
        assert states(health) == all_are(NOT_SERVING)


async def test_figures_say_whether_it_is_ready_and_whether_it_is_draining() -> None:
    def told(health: Health) -> dict[str, object]:
        return {metric.name: metric.samples[0].value for metric in health.metrics()}

    async with watched() as (health, probe):
        assert told(health) == {"featom_ready": 0, "featom_draining": 0}
        await probe.find(None)
        assert told(health) == {"featom_ready": 1, "featom_draining": 0}
        health.drain()
        assert told(health) == {"featom_ready": 0, "featom_draining": 1}
