"""Answers that their callers do not take: what others are told then, and that all is well after."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc
import pytest

from domain.limits import DEFAULT_LIMITS
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue
from repository.postgres import PostgresRepository
from server.rpc import unsent_bytes
from server.rpc.decoding import Decoder
from server.rpc.middleware import with_errors
from server.rpc.registration import register
from server.rpc.stream_life import StreamLife
from server.rpc.unsent_bytes import LARGE, UnsentBytes
from server.services.feature_store import SERVICE, FeatureStore
from tests.kit.fault_injection import repository_on
from tests.kit.refusal import refusal
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub

OVERLOADED: Final = (grpc.StatusCode.UNAVAILABLE, "OVERLOADED")
CONTENT: Final = "x" * 700_000
READ: Final = "/featom.v1.FeatureStoreService/BatchGetAggregates"
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.http2.bdp_probe", 0),  # nor take more than a window before it is asked for
)


class Stand(NamedTuple):
    """A server that lets 4 MiB of large answers be on their way, and as many of others."""

    address: str
    store: "FeatureStoreServiceAsyncStub"
    unsent: UnsentBytes


def key(name: str) -> EntityKey:
    return EntityKey(entity_type="unsent", entity_id=name)


def setting(name: str, content: str, **rest: Any) -> pb.UpdateFeaturesRequest:
    value = FeatureValue(string_value=content)
    return pb.UpdateFeaturesRequest(
        key=key(name), updates=[pb.FeatureUpdate(name="f", set=value)], **rest
    )


def batch(count: int) -> pb.BatchGetAggregatesRequest:
    return pb.BatchGetAggregatesRequest(keys=[key("large")] * count)


@asynccontextmanager
async def serving_in_process(repository: PostgresRepository) -> AsyncIterator[Stand]:
    unsent = UnsentBytes(8 * LARGE)
    decode = Decoder(4_000_000)
    servicer = FeatureStore(repository, repository, DEFAULT_LIMITS, decode, StreamLife(60), unsent)
    server = grpc.aio.server()
    register(server, SERVICE, servicer, (with_errors,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    address = f"127.0.0.1:{port}"
    async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
        yield Stand(address, FeatureStoreServiceStub(channel), unsent)
    await server.stop(None)


@pytest.fixture
async def stand(database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stand]:
    monkeypatch.setattr(unsent_bytes, "PATIENCE", 0.3)
    async with repository_on(database) as repository, serving_in_process(repository) as made:
        await made.store.UpdateFeatures(setting("large", CONTENT))
        await made.store.UpdateFeatures(setting("small", "x"))
        yield made
        await eventually(lambda: made.unsent.held == 0)


@asynccontextmanager
async def slow_reader(stand: Stand, count: int) -> AsyncIterator[None]:
    """Asks for a large answer and takes none of it."""
    held = stand.unsent.held
    async with grpc.aio.insecure_channel(stand.address, options=_OPTIONS) as channel:
        read: Any = channel.unary_stream(READ)
        call = read(batch(count).SerializeToString())
        await eventually(lambda: stand.unsent.held > held)
        yield
        call.cancel()


async def test_an_answer_counts_until_its_caller_has_it(stand: Stand) -> None:
    async with slow_reader(stand, 4):
        assert stand.unsent.held > 4 * len(CONTENT)
        await asyncio.sleep(0.2)
        assert stand.unsent.held > 4 * len(CONTENT)
    await eventually(lambda: stand.unsent.held == 0)
    answer = await stand.store.BatchGetAggregates(batch(4))
    assert len(answer.results) == 4
    await eventually(lambda: stand.unsent.held == 0)


async def test_beside_answers_that_nobody_takes_large_reads_are_refused_and_others_served(
    stand: Stand,
) -> None:
    async with slow_reader(stand, 5):
        refused = await refusal(stand.store.BatchGetAggregates(batch(3)))
        assert refused.told == OVERLOADED
        assert refused.retry_after
        small = await stand.store.GetAggregate(pb.GetAggregateRequest(key=key("small")))
        assert small.aggregate.features["f"].value.string_value == "x"
        large = await stand.store.GetAggregate(pb.GetAggregateRequest(key=key("large")))
        assert large.aggregate.features["f"].value.string_value == CONTENT


async def test_a_large_read_that_waits_is_served_when_the_one_before_is_taken(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsent_bytes, "PATIENCE", 60.0)
    async with slow_reader(stand, 5):
        waiting = asyncio.ensure_future(stand.store.BatchGetAggregates(batch(5)))
        await asyncio.sleep(0.2)
        assert not waiting.done()
    assert len((await waiting).results) == 5


async def test_an_update_that_asks_for_its_aggregate_is_refused_before_it_is_done(
    stand: Stand,
) -> None:
    async with slow_reader(stand, 8):
        asking = setting("small", "y", return_aggregate=True)
        together = pb.BatchUpdateFeaturesRequest(updates=[asking])
        for call in (stand.store.UpdateFeatures(asking), stand.store.BatchUpdateFeatures(together)):
            assert (await refusal(call)).told == OVERLOADED
        small = await stand.store.GetAggregate(pb.GetAggregateRequest(key=key("small")))
        assert small.aggregate.version == 1
        await stand.store.UpdateFeatures(setting("small", "z"))


async def test_of_a_stream_the_message_alone_is_refused(stand: Stand) -> None:
    async with slow_reader(stand, 8):
        stream = stand.store.StreamUpdateFeatures()
        asking = setting("small", "y", return_aggregate=True)
        await stream.write(pb.StreamUpdateFeaturesRequest(sequence=1, update=asking))
        refused: Any = await stream.read()
        assert refused.error.code == grpc.StatusCode.UNAVAILABLE.value[0]
        await stream.write(pb.StreamUpdateFeaturesRequest(sequence=2, update=setting("small", "z")))
        answered: Any = await stream.read()
        assert answered.response.version == 2
        await stream.done_writing()
        assert await stream.read() is grpc.aio.EOF


async def test_answers_of_a_stream_count_until_they_are_taken_or_it_is_over(stand: Stand) -> None:
    stream = stand.store.StreamUpdateFeatures()
    for number in range(4):
        asking = setting("large", CONTENT + str(number), return_aggregate=True)
        await stream.write(pb.StreamUpdateFeaturesRequest(sequence=number, update=asking))
    await eventually(lambda: stand.unsent.held > 2 * len(CONTENT))
    stream.cancel()
    await eventually(lambda: stand.unsent.held == 0)
