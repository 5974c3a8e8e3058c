"""What a call leaves behind is freed when the call ends, not when Python looks for garbage.

grpc makes a few small cycles of its own for each call; none may hold a request or a stream.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
import pytest

from domain.aggregate import DEFAULT_LIMITS
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey
from repository.memory import MemoryRepository
from server.call import Call
from server.decoding import Decoder
from server.feature_store import SERVICE, FeatureStore
from server.registration import register
from server.stages import access_logged, with_errors
from server.update_stream import UpdateStream

STORE: Final = "/featom.v1.FeatureStoreService/"
MALFORMED: Final = b"\xff\xff"
HELD: Final = (Call, UpdateStream)
CALLS: Final = 5

Ask = Callable[[grpc.aio.Channel], Awaitable[None]]


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    """To a server in this process."""
    stored = MemoryRepository()
    servicer = FeatureStore(stored, stored, DEFAULT_LIMITS, Decoder(1_000_000), asyncio.Event())
    server = grpc.aio.server()
    register(server, SERVICE, servicer, (access_logged, with_errors))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await server.stop(None)


async def get(channel: grpc.aio.Channel, data: bytes) -> grpc.StatusCode:
    method: Any = channel.unary_unary(f"{STORE}GetAggregate")
    code: grpc.StatusCode = await method(data, timeout=5).code()
    return code


async def begun_stream(channel: grpc.aio.Channel) -> Any:
    """A stream of which the first update is answered."""
    key = EntityKey(entity_type="t", entity_id="e")
    update = pb.UpdateFeaturesRequest(key=key, updates=[pb.FeatureUpdate(name="f", remove=True)])
    method: Any = channel.stream_stream(f"{STORE}StreamUpdateFeatures")
    call = method(timeout=5)
    await call.write(pb.StreamUpdateFeaturesRequest(update=update).SerializeToString())
    assert await call.read()
    return call


async def missing(channel: grpc.aio.Channel) -> None:
    key = EntityKey(entity_type="t", entity_id="nobody")
    data = pb.GetAggregateRequest(key=key).SerializeToString()
    assert await get(channel, data) is grpc.StatusCode.NOT_FOUND


async def malformed(channel: grpc.aio.Channel) -> None:
    assert await get(channel, MALFORMED) is grpc.StatusCode.INVALID_ARGUMENT


async def stream_to_its_end(channel: grpc.aio.Channel) -> None:
    call = await begun_stream(channel)
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def stream_that_is_hung_up(channel: grpc.aio.Channel) -> None:
    call = await begun_stream(channel)
    call.cancel()


async def stream_that_breaks(channel: grpc.aio.Channel) -> None:
    call = await begun_stream(channel)
    await call.write(MALFORMED)
    assert await call.code() is grpc.StatusCode.INVALID_ARGUMENT


def held() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, HELD)]


@pytest.mark.parametrize(
    "ask", [missing, malformed, stream_to_its_end, stream_that_is_hung_up, stream_that_breaks]
)
async def test_a_call_is_freed_without_a_look_for_garbage(
    channel: grpc.aio.Channel, ask: Ask
) -> None:
    gc.collect()
    before = held()  # by other tests
    gc.disable()
    try:
        for _ in range(CALLS):
            await ask(channel)
        await asyncio.sleep(0.1)
        assert [each for each in held() if each not in before] == []
    finally:
        gc.enable()
