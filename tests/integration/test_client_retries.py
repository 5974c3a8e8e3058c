"""What the retries of deploy/client/service_config.json do, and what they must not do.

Between client and server stands a connection that breaks once the server has read a call: gRPC
then sends it again, and nobody but the server can know that it was applied before.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import grpc
import pytest

from domain.entity_key import EntityKey
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey as KeyMessage
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue
from server.services.feature_store import SERVICE
from tests.e2e.rolling.load import SERVICE_CONFIG
from tests.kit.refusal import refusal
from tests.kit.serving import Server


@dataclass
class Line:
    """Passes bytes between clients and a server; breaks before the first answers, if told to."""

    server: str
    breaks: int = 0
    _ends: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.server.rpartition(":")
        back, forth = await asyncio.open_connection(host, int(port))
        self._ends += [forth, writer]
        await asyncio.gather(self._pass(reader, forth), self._answer(back, writer))

    def end(self) -> None:
        """Leave nothing open: a server that stops would wait for it."""
        for writer in self._ends:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                # A frame of HEADERS, of any stream: an answer begins.
                if self.breaks and _has_headers(data):
                    self.breaks -= 1
                    break
                writer.write(data)
        writer.transport.abort()


def _has_headers(data: bytes) -> bool:
    while len(data) >= 9:
        length, kind = int.from_bytes(data[:3], "big"), data[3]
        if kind == 1:
            return True
        data = data[9 + length :]
    return False


@asynccontextmanager
async def line_to(server: Server) -> AsyncIterator[tuple[Line, "grpc.aio.Channel"]]:
    """A line to a server, and a client at its other end that has the shipped service config."""
    line = Line(server.address)
    listening = await asyncio.start_server(line.connect, "127.0.0.1", 0)
    address = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    options = (
        ("grpc.service_config", SERVICE_CONFIG.read_text()),
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.min_reconnect_backoff_ms", 50),
        ("grpc.use_local_subchannel_pool", 1),
    )
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        await asyncio.wait_for(channel.channel_ready(), 10)
        yield line, channel
    listening.close()
    line.end()
    await asyncio.sleep(0.1)


def one_more(key: EntityKey, **rest: Any) -> pb.UpdateFeaturesRequest:
    entity = KeyMessage(entity_type=key.entity_type, entity_id=key.entity_id)
    count = pb.FeatureUpdate(name="f", increment=FeatureValue(int64_value=1))
    return pb.UpdateFeaturesRequest(key=entity, updates=[count], **rest)


async def count(store: Any, key: EntityKey) -> int:
    entity = KeyMessage(entity_type=key.entity_type, entity_id=key.entity_id)
    answer = await store.GetAggregate(pb.GetAggregateRequest(key=entity))
    return int(answer.aggregate.features["f"].value.int64_value)


async def test_an_update_with_a_request_id_is_sent_again_and_applied_once(
    server: Server, key: EntityKey
) -> None:
    async with line_to(server) as (line, channel):
        line.breaks = 1
        store: Any = FeatureStoreServiceStub(channel)
        answer = await store.UpdateFeatures(one_more(key, request_id=str(uuid4())), timeout=60)
        assert (line.breaks, answer.replayed) == (0, True)
        assert await count(store, key) == 1


async def test_a_blind_update_is_never_applied_by_a_second_attempt(
    server: Server, key: EntityKey
) -> None:
    async with line_to(server) as (line, channel):
        line.breaks = 1
        store: Any = FeatureStoreServiceStub(channel)
        refused = await refusal(store.UpdateFeatures(one_more(key), timeout=60))
        assert refused.told == (grpc.StatusCode.UNAVAILABLE, "COMMIT_UNKNOWN")
        assert line.breaks == 0
        assert await count(store, key) == 1


async def test_an_update_that_is_only_validated_is_sent_again(
    server: Server, key: EntityKey
) -> None:
    async with line_to(server) as (line, channel):
        store: Any = FeatureStoreServiceStub(channel)
        await store.UpdateFeatures(one_more(key))
        line.breaks = 1
        assert (
            await store.UpdateFeatures(one_more(key, validate_only=True), timeout=60)
        ).version == 2
        assert line.breaks == 0
        assert await count(store, key) == 1


async def test_a_conditional_update_is_sent_again_and_told_that_it_is_stale(
    server: Server, key: EntityKey
) -> None:
    async with line_to(server) as (line, channel):
        store: Any = FeatureStoreServiceStub(channel)
        first = await store.UpdateFeatures(one_more(key))
        line.breaks = 1
        refused = await refusal(store.UpdateFeatures(one_more(key, etag=first.etag), timeout=60))
        assert refused.told == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
        assert await count(store, key) == 2


@pytest.mark.parametrize("method", [method.name for method in SERVICE.methods])
def test_every_unary_method_is_retried_on_unavailable_alone_and_no_stream_of_updates_is(
    method: str,
) -> None:
    found = [
        config.get("retryPolicy")
        for config in json.loads(SERVICE_CONFIG.read_text())["methodConfig"]
        for name in config["name"]
        if name["service"] == SERVICE.full_name and name.get("method", method) == method
    ]
    if SERVICE.methods_by_name[method].client_streaming:
        assert found[-1] is None
    else:
        (policy,) = found
        assert policy["retryableStatusCodes"] == ["UNAVAILABLE"]
        assert policy["maxAttempts"] == 5
