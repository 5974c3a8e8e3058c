"""StreamUpdateFeatures: its window, its ends, and what becomes of updates that wait meanwhile."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import grpc
import pytest
from grpc import StatusCode

from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue
from server.services.update_stream import WINDOW, WITH_AGGREGATE
from tests.kit.held_writes import (
    a_batch_is_held,
    has_ended,
    has_received,
    nothing_is_written,
    received,
    waiting,
)
from tests.kit.refusal import refusal
from tests.kit.serving import Server, serving
from tests.kit.stubs import failure_in
from tests.kit.waiting import eventually, eventually_true

SETTINGS: Final[dict[str, Any]] = {
    "lanes": 1,
    "statement_timeout": 60,
    "metrics_listen": "127.0.0.1:0",
    "max_message_bytes": 1_000_000,
    "max_waiting_bytes": 2_000_000,
}
A_WHILE: Final = 0.5
"""Seconds in which a server reads on, if it does."""
LARGE: Final = "x" * 100_000


@pytest.fixture
def dsn(database: str) -> str:
    return database


@pytest.fixture
def server(dsn: str) -> Iterator[Server]:
    """A server with one lane: what is not in its one batch waits."""
    with serving(dsn, **SETTINGS) as started:
        yield started


@pytest.fixture
async def store(server: Server) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield FeatureStoreServiceStub(channel)


def update(
    sequence: int, entity_id: str = "e", *, value: FeatureValue | None = None, **fields: Any
) -> pb.StreamUpdateFeaturesRequest:
    """An update of two features."""
    one = FeatureValue(int64_value=1)
    return pb.StreamUpdateFeaturesRequest(
        sequence=sequence,
        update=pb.UpdateFeaturesRequest(
            key=EntityKey(entity_type="stream", entity_id=entity_id),
            updates=[
                pb.FeatureUpdate(name="count", increment=one),
                pb.FeatureUpdate(name="last", set=value or FeatureValue(int64_value=sequence)),
            ],
            **fields,
        ),
    )


async def answers_of(stream: Any, count: int) -> list[pb.StreamUpdateFeaturesResponse]:
    async with asyncio.timeout(30):
        return [await stream.read() for _ in range(count)]


async def features_of(store: Any, entity_id: str) -> dict[str, int]:
    """What is stored of an entity: its int64 features; none if there is no such entity."""
    key = EntityKey(entity_type="stream", entity_id=entity_id)
    response = await store.BatchGetAggregates(pb.BatchGetAggregatesRequest(keys=[key]), timeout=60)
    found = response.results[0].aggregate.features
    return {name: found[name].value.int64_value for name in found}


async def has_become(store: Any, entity_id: str, features: dict[str, int]) -> None:
    """Return when that is stored. Raises NotInTime."""

    async def is_so() -> bool:
        return await features_of(store, entity_id) == features

    await eventually_true(is_so)


async def all_that_is_received(server: Server) -> int:
    """How many messages a server has taken when it takes no more."""
    taken = [-1]

    async def no_more() -> bool:
        taken.append(await received(server))
        await asyncio.sleep(A_WHILE)
        return taken[-2] == taken[-1]

    await eventually_true(no_more)
    return taken[-1]


async def write_all(stream: Any, requests: list[pb.StreamUpdateFeaturesRequest]) -> None:
    for request in requests:
        await stream.write(request)


@pytest.mark.parametrize(
    ("fields", "room"), [({}, WINDOW), ({"return_aggregate": True}, WINDOW // WITH_AGGREGATE)]
)
async def test_no_more_than_the_window_is_taken_before_an_answer_is_written(
    dsn: str, server: Server, store: Any, fields: dict[str, Any], room: int
) -> None:
    count = room + 20
    stream = store.StreamUpdateFeatures(timeout=60)
    async with nothing_is_written(dsn) as session:
        writing = asyncio.create_task(
            write_all(stream, [update(n, f"{n}", **fields) for n in range(count)])
        )
        await a_batch_is_held(session)
        # One more is read from the stream, and waits for its room.
        await has_received(server, room + 1)
        await asyncio.sleep(A_WHILE)
        assert await received(server) == room + 1
    answers = await answers_of(stream, count)
    await writing
    assert {answer.sequence for answer in answers} == set(range(count))
    assert await received(server) == count


async def test_a_client_that_does_not_read_bounds_what_the_server_reads(
    server: Server, store: Any
) -> None:
    count = 300
    stream = store.StreamUpdateFeatures(timeout=60)
    large = FeatureValue(string_value=LARGE)
    await stream.write(update(0, value=large, return_aggregate=True))
    small = [update(n, return_aggregate=True) for n in range(1, count)]
    for each in small:
        del each.update.updates[1]
    writing = asyncio.create_task(write_all(stream, small))
    await has_received(server, WINDOW // WITH_AGGREGATE)
    taken = await all_that_is_received(server)
    assert taken < count / 2
    assert await waiting(server) == 0
    answers = await answers_of(stream, count)
    await writing
    assert [answer.sequence for answer in answers] == list(range(count))


async def test_updates_that_wait_when_the_client_has_no_more_are_answered_and_then_the_stream_is_ok(
    dsn: str, server: Server, store: Any
) -> None:
    stream = store.StreamUpdateFeatures(timeout=60)
    async with nothing_is_written(dsn) as session:
        await write_all(stream, [update(n, f"{n % 7}") for n in range(50)])
        await stream.done_writing()
        await a_batch_is_held(session)
        await has_received(server, 50)
        assert await waiting(server) > 0
    answers = await answers_of(stream, 50)
    assert {answer.sequence for answer in answers} == set(range(50))
    assert all(answer.HasField("response") for answer in answers)
    assert await stream.read() is grpc.aio.EOF
    assert await stream.code() is StatusCode.OK


async def only_late_ones(stream: Any) -> None:
    """Read until the stream breaks: who waits is told that its time is up, just before it is."""
    while True:
        answer = await stream.read()
        assert "before its turn came" in answer.error.message


@pytest.mark.parametrize("ending", ["Canceled", "DeadlineExceeded"])
async def test_a_client_that_goes_away_leaves_what_is_in_a_batch_whole_and_the_rest_undone(
    dsn: str, server: Server, store: Any, ending: str
) -> None:
    timeout = 2 if ending == "DeadlineExceeded" else 60
    for turn in range(1, 4):
        stream = store.StreamUpdateFeatures(timeout=timeout)
        large = FeatureValue(bytes_value=bytes(100_000))
        async with nothing_is_written(dsn) as session:
            await stream.write(update(turn, "first"))
            await a_batch_is_held(session)
            # Of all three turns together it would be more than may wait.
            await write_all(stream, [update(n, f"{n}", value=large) for n in range(10)])
            await write_all(stream, [update(n, "first") for n in range(100, 110)])
            await has_received(server, 21 * turn)
            assert await waiting(server) == 20
            if ending == "Canceled":
                stream.cancel()
            with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
                await only_late_ones(stream)
            await has_ended(server, ending, turn)
        await has_become(store, "first", {"count": turn, "last": turn})
        for number in range(10):
            assert await features_of(store, f"{number}") == {}
        assert await waiting(server) == 0


async def test_a_server_that_stops_answers_what_it_has_read_and_says_that_it_drains(
    dsn: str, server: Server, store: Any
) -> None:
    stream = store.StreamUpdateFeatures(timeout=60)
    async with nothing_is_written(dsn) as session:
        await write_all(stream, [update(n, f"{n}") for n in range(20)])
        await a_batch_is_held(session)
        await has_received(server, 20)
        server.process.send_signal(signal.SIGTERM)
        await eventually(lambda: "draining" in server.log)
        await asyncio.sleep(A_WHILE)
        await stream.write(update(20, "too-late"))
    answers = await answers_of(stream, 20)
    assert {answer.sequence for answer in answers} == set(range(20))
    assert all(answer.response.version == 1 for answer in answers)
    refused = await refusal(stream.read())
    assert refused.told == (StatusCode.UNAVAILABLE, "DRAINING")
    assert await asyncio.to_thread(server.process.wait, 30) == 0
    with serving(dsn) as next_one:
        async with grpc.aio.insecure_channel(next_one.address) as channel:
            another: Any = FeatureStoreServiceStub(channel)
            assert await features_of(another, "too-late") == {}
            assert await features_of(another, "19") == {"count": 1, "last": 19}


async def test_an_update_that_fails_is_answered_and_the_next_ones_are_applied(store: Any) -> None:
    stream = store.StreamUpdateFeatures(timeout=60)
    nameless = pb.StreamUpdateFeaturesRequest(sequence=2)
    text = FeatureValue(string_value="text")
    await write_all(
        stream,
        [
            update(1),
            nameless,
            update(3, value=text),
            update(4, etag='"stale"'),
            update(5, request_id="no UUID"),
            update(6),
        ],
    )
    await stream.done_writing()
    answers = {answer.sequence: answer for answer in await answers_of(stream, 6)}
    assert await stream.code() is StatusCode.OK
    assert answers[1].response.version == 1
    assert answers[6].response.version == 2
    for sequence in (2, 3, 4, 5):
        told = failure_in(answers[sequence].error)
        assert told.code is StatusCode.INVALID_ARGUMENT, told
    assert await features_of(store, "e") == {"count": 2, "last": 6}


async def test_answers_of_one_aggregate_come_in_order_under_whatever_numbers(store: Any) -> None:
    numbers = [7, 7, -1, 2**62, 0, *range(500)]
    stream = store.StreamUpdateFeatures(timeout=60)
    writing = asyncio.create_task(write_all(stream, [update(number) for number in numbers]))
    answers = await answers_of(stream, len(numbers))
    await writing
    assert [answer.sequence for answer in answers] == numbers
    versions = [answer.response.version for answer in answers]
    assert versions == list(range(1, len(numbers) + 1))
