"""Streams end themselves, in words, before gRPC cuts their connection."""

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from grpc_status import rpc_status
from hyperframe.frame import DataFrame

from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue
from tests.attacks.raw_http2 import Http2Connection
from tests.kit.held_writes import a_batch_is_held, has_ended, has_received, nothing_is_written
from tests.kit.refusal import refusal
from tests.kit.serving import Server, serving

AGE: Final = 4.0
"""Seconds; as long does a stream have to answer what it has read."""
BEGINNINGS: Final = (0.0, 0.3, 0.6, 0.85, 0.89)
"""In ages of a connection: the last just before gRPC asks the client to leave."""
ALONE: Final = [("grpc.use_local_subchannel_pool", 1)]
DRAINING: Final = (StatusCode.UNAVAILABLE, "DRAINING")


@pytest.fixture
def server(database: str) -> Iterator[Server]:
    with serving(database, max_connection_age=AGE, metrics_listen="127.0.0.1:0") as started:
        yield started


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[grpc.aio.Channel]:
    """A connection that is shared with nobody."""
    async with grpc.aio.insecure_channel(server.address, ALONE) as channel:
        await channel.channel_ready()
        yield channel


def update(sequence: int, entity_id: str) -> pb.StreamUpdateFeaturesRequest:
    count = pb.FeatureUpdate(name="count", increment=FeatureValue(int64_value=1))
    return pb.StreamUpdateFeaturesRequest(
        sequence=sequence,
        update=pb.UpdateFeaturesRequest(
            key=EntityKey(entity_type="stream", entity_id=entity_id), updates=[count]
        ),
    )


def updates(entity_id: str, ended: threading.Event) -> Iterator[pb.StreamUpdateFeaturesRequest]:
    """One after the other for a while; then nothing, for as long as the stream lasts.

    What a client sends while the connection is closed may cost it what it has not read yet.
    """
    until = time.monotonic() + AGE / 2
    for sequence in itertools.count(1):
        if time.monotonic() > until:
            break
        yield update(sequence, entity_id)
    ended.wait(60)


def updates_of(server: Server, beginning: float) -> tuple[int, int, object]:
    """Stream updates from some moment in the life of a connection on; returns how many were
    applied, how many were answered, and how the stream ended."""
    entity_id, ended, answers = str(beginning), threading.Event(), 0
    with grpc.insecure_channel(server.address, ALONE) as channel:
        store: Any = FeatureStoreServiceStub(channel)
        grpc.channel_ready_future(channel).result(30)
        time.sleep(beginning * AGE)
        stream = store.StreamUpdateFeatures(updates(entity_id, ended), timeout=60)
        try:
            for answer in stream:
                assert answer.HasField("response")
                answers += 1
        except grpc.RpcError:
            pass
        ended.set()
        key = EntityKey(entity_type="stream", entity_id=entity_id)
        stored = store.GetAggregate(pb.GetAggregateRequest(key=key), timeout=30)
        return stored.aggregate.version, answers, told_by(stream)


def told_by(call: Any) -> object:
    """The code that a call ended with, and the reason or what gRPC says."""
    status, info = rpc_status.from_call(call), ErrorInfo()
    if status is not None:
        status.details[0].Unpack(info)
    return call.code(), info.reason or call.details()


async def test_a_stream_ends_with_draining_wherever_in_the_life_of_its_connection_it_began(
    server: Server,
) -> None:
    """And what was applied was answered."""
    clients = (asyncio.to_thread(updates_of, server, beginning) for beginning in BEGINNINGS)
    ends = await asyncio.gather(*clients)
    for applied, answered, ended in ends:
        assert ended == DRAINING
        assert applied == answered > 0


async def test_what_is_undecided_when_a_stream_has_lasted_long_enough_is_answered_first(
    database: str, server: Server
) -> None:
    async with connected(server) as channel:
        store: Any = FeatureStoreServiceStub(channel)
        stream = store.StreamUpdateFeatures(timeout=60)
        async with nothing_is_written(database) as session:
            for sequence in range(200):
                await stream.write(update(sequence, f"{sequence}"))
            await a_batch_is_held(session)
            await has_received(server, 200)
            # It has read for as long as any stream does, and has some seconds left for its answers.
            await asyncio.sleep(1.3 * AGE)
        answers = [await stream.read() for _ in range(200)]
        assert {answer.sequence for answer in answers} == set(range(200))
        assert all(answer.response.version == 1 for answer in answers)
        assert (await refusal(stream.read())).told == DRAINING


async def test_who_watches_health_or_asks_for_the_contract_is_told_too(server: Server) -> None:
    async with connected(server) as channel:
        health: Any = HealthStub(channel)
        untyped: Any = channel
        contract: Any = ServerReflectionStub(untyped)
        watch = health.Watch(HealthCheckRequest(service="readiness"), timeout=60)
        asking = contract.ServerReflectionInfo(timeout=60)
        await watch.read()
        await asking.write(ServerReflectionRequest(list_services=""))
        await asking.read()
        for stream in (watch, asking):
            told = await refusal(stream.read())
            assert told.told == DRAINING
            assert told.message == "The stream has lasted as long as streams do; begin another one."


async def test_a_client_that_does_not_read_is_cut_off_with_its_connection(server: Server) -> None:
    host, _, port = server.address.rpartition(":")
    data = update(1, "unread").SerializeToString()
    message = DataFrame(1, b"\0" + len(data).to_bytes(4) + data).serialize()
    method = "/featom.v1.FeatureStoreService/StreamUpdateFeatures"
    connected = socket.create_connection((host, int(port)))
    with Http2Connection(connected, server.address, window=0) as connection:
        connection.send(connection.headers(1, method) + message)
        await has_ended(server, "Canceled")
