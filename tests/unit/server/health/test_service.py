"""Health as it is asked for and watched: nobody waits for a client that is slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from domain.errors import Draining, InvalidValue, MessageTooLarge, Overloaded, ServiceNotFound
from server.health.service import HealthService, Statuses, Watches
from server.rpc.call import Call
from server.rpc.stream_life import StreamLife
from tests.unit.server.fake_context import FakeContext

UNKNOWN: Final = HealthCheckResponse.UNKNOWN
SERVING: Final = HealthCheckResponse.SERVING
NOT_SERVING: Final = HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN: Final = HealthCheckResponse.SERVICE_UNKNOWN


class Client:
    """Takes what it is told, unless it is told not to read."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.reads = asyncio.Event()
        self.reads.set()

    async def take(self, answer: bytes) -> None:
        await self.reads.wait()
        self.told.append(HealthCheckResponse.FromString(answer).status)


@pytest.fixture
def statuses() -> Statuses:
    statuses = Statuses()
    statuses.set({"a": SERVING})
    return statuses


@pytest.fixture
def service(statuses: Statuses) -> HealthService:
    return HealthService(statuses, Watches(most=3, most_per_peer=2), StreamLife(60))


def asking(name: str, client: Client | None = None, peer: str = "ipv4:127.0.0.1:1") -> Call:
    context: Any = FakeContext(peer=peer)
    request = HealthCheckRequest(service=name).SerializeToString()
    return Call("", context, request=request, write=(client or Client()).take)


@asynccontextmanager
async def watching(
    service: HealthService, name: str = "a", peer: str = "ipv4:127.0.0.1:1"
) -> AsyncIterator[tuple[Client, "asyncio.Task[None]"]]:
    client = Client()
    task = asyncio.create_task(service.Watch(asking(name, client, peer)))
    await settled()
    try:
        yield client, task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Draining, Overloaded):
            await task


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_service_that_is_not_known_is_not_found(service: HealthService) -> None:
    answer = await service.Check(asking("a"))
    assert HealthCheckResponse.FromString(answer).status == SERVING
    with pytest.raises(ServiceNotFound):
        await service.Check(asking("b"))


async def test_a_watcher_is_told_the_status_and_each_change(
    service: HealthService, statuses: Statuses
) -> None:
    async with watching(service) as (client, _):
        assert client.told == [SERVING]
        statuses.set({"another": NOT_SERVING})
        await settled()
        assert client.told == [SERVING]
        statuses.set({"a": NOT_SERVING})
        await settled()
        assert client.told == [SERVING, NOT_SERVING]


async def test_who_watches_a_service_that_is_not_known_is_told_so_and_waits_for_it(
    service: HealthService, statuses: Statuses
) -> None:
    async with watching(service, "b") as (client, _):
        assert client.told == [SERVICE_UNKNOWN]
        statuses.set({"b": SERVING})
        await settled()
        assert client.told == [SERVICE_UNKNOWN, SERVING]


async def test_a_watcher_that_is_slow_misses_what_is_over_and_holds_up_nobody(
    service: HealthService, statuses: Statuses
) -> None:
    async with watching(service) as (slow, _), watching(service) as (quick, _):
        slow.reads.clear()
        for status in (NOT_SERVING, SERVING, UNKNOWN, NOT_SERVING):
            statuses.set({"a": status})
            await settled()
        assert quick.told == [SERVING, NOT_SERVING, SERVING, UNKNOWN, NOT_SERVING]
        assert slow.told == [SERVING]
        slow.reads.set()
        await settled()
        # The first was under way when the client ceased to read.
        assert slow.told == [SERVING, NOT_SERVING]


async def test_a_watch_ends_when_its_client_knows_the_latest(
    service: HealthService, statuses: Statuses
) -> None:
    async with watching(service) as (client, task):
        statuses.set({"a": NOT_SERVING})
        statuses.end()
        with pytest.raises(Draining):
            await task
        assert client.told == [SERVING, NOT_SERVING]


async def test_nobody_alone_takes_the_room_of_all_who_watch(service: HealthService) -> None:
    async with watching(service, peer="a"), watching(service, peer="a"):
        with pytest.raises(Overloaded):
            await service.Watch(asking("a", peer="a"))
        async with watching(service, peer="b") as (client, _):
            assert client.told == [SERVING]
            with pytest.raises(Overloaded):
                await service.Watch(asking("a", peer="c"))
    async with watching(service, peer="a") as (client, _):
        assert client.told == [SERVING]


async def test_what_nobody_would_ask_is_refused(service: HealthService) -> None:
    for method in (service.Check, service.Watch):
        with pytest.raises(InvalidValue, match="service: must have at most 256 bytes"):
            await method(asking("ß" * 129))
        with pytest.raises(MessageTooLarge):
            await method(asking("x" * 1_024))
