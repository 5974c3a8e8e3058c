"""Streams that end in whatever way leave no task and no waiting bytes behind."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from domain.limits import DEFAULT_LIMITS
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from server.access_log import access_logged
from server.rpc.decoding import Decoder
from server.rpc.middleware import with_errors
from server.rpc.registration import register
from server.rpc.request_bytes import WaitingBytes
from server.rpc.stream_life import StreamLife
from server.rpc.unsent_bytes import UnsentBytes
from server.services.feature_store import SERVICE, FeatureStore
from tests.integration.test_update_streams import update
from tests.kit.fault_injection import repository_on
from tests.kit.held_writes import a_batch_is_held, nothing_is_written
from tests.kit.waiting import eventually


class Stand:
    """A server in this process."""

    def __init__(self, store: Any, life: StreamLife, bounded: WaitingBytes) -> None:
        self.store = store
        self.life = life
        self.bounded = bounded


@pytest.fixture
async def stand(database: str) -> AsyncIterator[Stand]:
    async with repository_on(database) as repository:
        life, bounded = StreamLife(60), WaitingBytes(10_000_000)
        unsent = UnsentBytes(10_000_000)
        servicer = FeatureStore(
            repository,
            repository,
            DEFAULT_LIMITS,
            Decoder(1_000_000),
            life,
            unsent,
            [bounded.message_middleware],
        )
        server = grpc.aio.server()
        register(server, SERVICE, servicer, (access_logged, with_errors, bounded.middleware))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Stand(FeatureStoreServiceStub(channel), life, bounded)
        await server.stop(None)


async def to_its_end(stand: Stand, stream: Any) -> None:
    await stream.done_writing()


async def cancelled(stand: Stand, stream: Any) -> None:
    stream.cancel()


async def late(stand: Stand, stream: Any) -> None:
    await asyncio.sleep(stream.time_remaining() + 0.1)


async def drained(stand: Stand, stream: Any) -> None:
    stand.life.drain()


@pytest.mark.parametrize("ending", [to_its_end, cancelled, late, drained])
async def test_nothing_is_left_of_a_stream_that_ends_while_updates_wait_because_it_is(
    database: str, stand: Stand, ending: Any
) -> None:
    before = running_tasks()
    stream = stand.store.StreamUpdateFeatures(timeout=2)
    async with nothing_is_written(database) as session:
        for number in range(50):
            await stream.write(update(number, f"{number % 5}"))
        await a_batch_is_held(session)
        await eventually(lambda: stand.bounded.waiting > 0)
        await ending(stand, stream)
    await all_of(stream)
    await eventually(lambda: stand.bounded.waiting == 0)
    await eventually(lambda: running_tasks() <= before, why=f"{running_tasks() - before} are left")


def running_tasks() -> Counter[str]:
    """By the name of what they run."""
    running = (task.get_coro() for task in asyncio.all_tasks())
    return Counter(getattr(each, "__qualname__", "") for each in running)


async def all_of(stream: Any) -> None:
    """Read whatever comes, until the stream ends as it does."""
    try:
        while await stream.read() is not grpc.aio.EOF:
            pass
    except (grpc.aio.AioRpcError, asyncio.CancelledError):
        pass
