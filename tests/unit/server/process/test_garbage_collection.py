"""What a call leaves behind is freed when the call ends, not when Python looks for garbage.

grpc makes a few small cycles of its own for each call; none may hold a request or a stream.
"""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import grpc
import pytest
from opentelemetry.sdk.trace import TracerProvider

from domain.limits import DEFAULT_LIMITS
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey
from repository.memory import MemoryRepository
from server.access.audit_log import AuditLog
from server.access.auditing import Auditing
from server.access.authentication import authenticated
from server.access.authorization import Authorization, Grant, Grants
from server.access.permissions import Permission
from server.access.rate_limits import RateLimits
from server.access_log import access_logged
from server.metrics import Metrics
from server.rpc.call import Call, Context
from server.rpc.decoding import Decoder, RememberingDecoder
from server.rpc.middleware import MessageMiddleware, Middleware, with_errors
from server.rpc.registration import register
from server.rpc.request_bytes import WaitingBytes
from server.rpc.stream_life import StreamLife
from server.rpc.unsent_bytes import UnsentBytes
from server.services.feature_store import SERVICE, FeatureStore
from server.services.update_stream import UpdateStream
from server.tracing import traced

STORE: Final = "/featom.v1.FeatureStoreService/"
MALFORMED: Final = b"\xff\xff"
HELD: Final = (Call, UpdateStream)
CALLS: Final = 5
MAX_BYTES: Final = 1_000_000

Ask = Callable[[grpc.aio.Channel], Awaitable[None]]


class Stages(NamedTuple):
    """What is around calls, and around messages of streams."""

    calls: Sequence[Middleware]
    messages: Sequence[MessageMiddleware]
    decode: Decoder
    close: Callable[[], None] = lambda: None


def as_few_as_may_be(folder: Path) -> Stages:
    return Stages((access_logged, with_errors), (), Decoder(MAX_BYTES))


def all_that_there_are(folder: Path) -> Stages:
    decode = RememberingDecoder(MAX_BYTES)
    audit_log = AuditLog(str(folder / "audit.jsonl"))
    auditing = Auditing(audit_log, decode)
    waiting, rate_limits = WaitingBytes(MAX_BYTES), RateLimits(1_000, time.monotonic)
    grants = Grants([Grant(["**"], {permission: ["*"] for permission in Permission})])
    authorization = Authorization(lambda: grants, decode)
    access = (auditing, waiting, rate_limits, authorization)
    around = (
        traced(TracerProvider()),
        access_logged,
        Metrics([SERVICE], []).middleware,
        with_errors,
    )
    return Stages(
        (*around, *(each.middleware for each in access), authenticated([anybody])),
        [each.message_middleware for each in access],
        decode,
        audit_log.close,
    )


async def anybody(context: Context) -> str:
    return "cn:anybody"


@pytest.fixture(params=[as_few_as_may_be, all_that_there_are], ids=lambda each: each.__name__)
async def channel(request: Any, tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    """To a server in this process."""
    middleware: Stages = request.param(tmp_path)
    stored = MemoryRepository()
    servicer = FeatureStore(
        stored,
        stored,
        DEFAULT_LIMITS,
        middleware.decode,
        StreamLife(60),
        UnsentBytes(1_000_000),
        middleware.messages,
    )
    server = grpc.aio.server()
    register(server, SERVICE, servicer, middleware.calls)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened:
        yield opened
    await server.stop(None)
    middleware.close()


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


async def written(channel: grpc.aio.Channel) -> None:
    key = EntityKey(entity_type="t", entity_id="e")
    update = pb.UpdateFeaturesRequest(key=key, updates=[pb.FeatureUpdate(name="f", remove=True)])
    method: Any = channel.unary_unary(f"{STORE}UpdateFeatures")
    await method(update.SerializeToString(), timeout=5)


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
    "ask",
    [
        missing,
        malformed,
        written,
        stream_to_its_end,
        stream_that_is_hung_up,
        stream_that_breaks,
    ],
)
async def test_a_call_is_freed_without_a_look_for_garbage(
    channel: grpc.aio.Channel, ask: Ask
) -> None:
    gc.collect()
    before = held()  # by other tests
    # While an earlier timer runs asyncio keeps one that was cancelled, with its context.
    timer = asyncio.get_running_loop().call_later(10, lambda: None)
    gc.disable()
    try:
        for _ in range(CALLS):
            await ask(channel)
        await asyncio.sleep(0.1)
        assert [each for each in held() if each not in before] == []
    finally:
        gc.enable()
        timer.cancel()
