"""Clients that write and read all the time, and count what they were told."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import grpc

from featom.v1.aggregate_pb2 import EntityKey
from featom.v1.feature_store_pb2 import (
    BatchGetAggregatesRequest,
    FeatureUpdate,
    GetAggregateRequest,
    UpdateFeaturesRequest,
)
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue
from tests.kit.serving import ROOT
from tests.kit.stubs import Failure, failure_of
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub

SERVICE_CONFIG: Final = ROOT / "deploy" / "client" / "service_config.json"
ENTITY_TYPE: Final = "rolling"
HOT: Final = "hot"
COUNT: Final = "count"
CALL_SECONDS: Final = 60.0
_CALLS_OF_A_ROUND: Final = 4


def service_config(*, retries: bool) -> str:
    """The shipped one, with or without its retries."""
    config = json.loads(SERVICE_CONFIG.read_text())
    if not retries:
        for method in config["methodConfig"]:
            method.pop("retryPolicy", None)
    return json.dumps(config)


@asynccontextmanager
async def balanced(
    addresses: Sequence[str], *, retries: bool
) -> "AsyncIterator[FeatureStoreServiceAsyncStub]":
    """A client of several servers, by the shipped service config."""
    options = (
        ("grpc.service_config", service_config(retries=retries)),
        ("grpc.enable_retries", int(retries)),
        ("grpc.use_local_subchannel_pool", 1),
        # Servers come and go within seconds here.
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.min_reconnect_backoff_ms", 50),
        ("grpc.max_reconnect_backoff_ms", 200),
    )
    target = "ipv4:" + ",".join(addresses)
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        yield FeatureStoreServiceStub(channel)


def key_of(entity_id: str) -> EntityKey:
    return EntityKey(entity_type=ENTITY_TYPE, entity_id=entity_id)


def one_more(entity_id: str, *, request_id: bool = True) -> UpdateFeaturesRequest:
    count = FeatureUpdate(name=COUNT, increment=FeatureValue(int64_value=1))
    return UpdateFeaturesRequest(
        key=key_of(entity_id), updates=[count], request_id=str(uuid4()) if request_id else ""
    )


@dataclass
class Load:
    """What the clients did, and were told. Each has an entity of its own, and all have a hot one.

    A count that was acknowledged may never be missing from what is read later.
    """

    tries: int
    """How often a call is made that is answered with one of `again_on`."""
    again_on: frozenset[grpc.StatusCode] = frozenset({grpc.StatusCode.UNAVAILABLE})
    pause: float = 0.0
    """Seconds between one client's rounds of four calls."""
    request_ids: bool = True
    clients: int = 0
    """How many run."""
    calls: int = 0
    retried: list[Failure] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    acknowledged: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    """Reads that did not show what was acknowledged before."""
    longest: float = 0.0
    """Seconds of the slowest call, its tries together."""

    async def run(self, store: "FeatureStoreServiceAsyncStub", client: int) -> None:
        own = f"client-{client}"
        self.clients += 1
        while True:
            for entity in (own, HOT):
                request = one_more(entity, request_id=self.request_ids)
                if await self._call(store.UpdateFeatures, request) is not None:
                    self.acknowledged[entity] += 1
            await self._read(store, own)
            await self._read_both(store, own)
            await asyncio.sleep(self.pause)

    async def go_on(self, rounds: int = 5) -> None:
        """Return when each client, on average, has made so many rounds more."""
        goal = self.calls + rounds * _CALLS_OF_A_ROUND * self.clients
        await eventually(lambda: self.calls > goal)

    async def _read(self, store: "FeatureStoreServiceAsyncStub", entity: str) -> None:
        known = self.acknowledged[entity]
        answer = await self._call(store.GetAggregate, GetAggregateRequest(key=key_of(entity)))
        if answer is not None:
            self._look(entity, known, answer.aggregate)

    async def _read_both(self, store: "FeatureStoreServiceAsyncStub", own: str) -> None:
        known = {entity: self.acknowledged[entity] for entity in (own, HOT)}
        request = BatchGetAggregatesRequest(keys=[key_of(own), key_of(HOT)])
        answer = await self._call(store.BatchGetAggregates, request)
        if answer is not None:
            for (entity, count), result in zip(known.items(), answer.results, strict=True):
                self._look(entity, count, result.aggregate)

    def _look(self, entity: str, known: int, found: Any) -> None:
        count = found.features[COUNT].value.int64_value
        if count < known:
            self.lost.append(f"{entity}: {known} were acknowledged, {count} were read")

    async def _call(self, method: Any, request: Any) -> Any:
        begun = time.monotonic()
        self.calls += 1
        try:
            for attempt in range(1, self.tries + 1):
                try:
                    return await method(request, timeout=CALL_SECONDS)
                except grpc.aio.AioRpcError as error:
                    failure = failure_of(error)
                    if attempt == self.tries or failure.code not in self.again_on:
                        self.failed.append(failure)
                        return None
                    self.retried.append(failure)
                    await asyncio.sleep(failure.retry_delay or 0.05)
        finally:
            self.longest = max(self.longest, time.monotonic() - begun)


@asynccontextmanager
async def loaded(load: Load, addresses: Sequence[str], *, clients: int, retries: bool) -> Any:
    """Clients at work for as long as the block lasts, two to a channel."""
    async with balanced(addresses, retries=retries) as store:
        tasks = [asyncio.create_task(load.run(store, client)) for client in range(clients)]
        try:
            yield store
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            for result in ended:
                if not isinstance(result, asyncio.CancelledError):
                    raise AssertionError("a client ended") from result
