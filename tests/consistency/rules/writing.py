"""Clients that write in each of the three ways, and remember what they were told."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import grpc

from featom.v1.feature_store_pb2 import BatchUpdateFeaturesRequest, StreamUpdateFeaturesRequest
from tests.consistency.rules.drawing import TYPES, draw_update
from tests.consistency.rules.plain_type import PlainUpdate
from tests.consistency.rules.wire import Refusal, refusal_in, refusal_of, update_message

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub

Entity: TypeAlias = tuple[str, str]

_PATIENCE: Final = 60.0
"""Seconds that a call may take."""


@dataclass
class Attempt:
    """One request, and what came of it."""

    updates: Sequence[PlainUpdate]
    is_batch: bool
    floors: dict[Entity, int]
    """Versions that had been acknowledged to anybody before it was sent."""
    sent: int
    """When, of the monotonic clock."""
    returned: int = 0
    returned_at: int = 0
    """The same moment, of the clock that the database on this machine has too."""
    refusal: Refusal | None = None
    """None: it was acknowledged."""


@dataclass
class Told:
    """Everything that clients were told."""

    attempts: list[Attempt] = field(default_factory=list)
    versions: dict[Entity, int] = field(default_factory=dict)

    def send(self, updates: Sequence[PlainUpdate], *, is_batch: bool = False) -> Attempt:
        entities = {(each.entity_type, each.entity_id) for each in updates}
        floors = {entity: self.versions.get(entity, 0) for entity in entities}
        attempt = Attempt(updates, is_batch, floors, time.monotonic_ns())
        self.attempts.append(attempt)
        return attempt

    def acknowledge(self, attempt: Attempt, versions: Sequence[int]) -> None:
        self._end(attempt)
        for update, version in zip(attempt.updates, versions, strict=True):
            entity = update.entity_type, update.entity_id
            self.versions[entity] = max(version, self.versions.get(entity, 0))

    def refuse(self, attempt: Attempt, refusal: Refusal) -> None:
        self._end(attempt)
        attempt.refusal = refusal

    def _end(self, attempt: Attempt) -> None:
        attempt.returned, attempt.returned_at = time.monotonic_ns(), time.time_ns()


class Writer:
    """One client, at two servers in turn."""

    def __init__(
        self,
        number: int,
        chance: Random,
        stores: "Sequence[FeatureStoreServiceAsyncStub]",
        told: Told,
    ) -> None:
        self._number = number
        self._chance = chance
        self._stores = stores
        self._told = told
        self._made = 0

    async def run(self, stopping: asyncio.Event) -> None:
        ways = (self._one, self._batch, self._stream)
        while not stopping.is_set():
            (way,) = self._chance.choices(ways, (5, 3, 2))
            await way(self._chance.choice(self._stores))

    async def _one(self, store: "FeatureStoreServiceAsyncStub") -> None:
        attempt = self._told.send([self._draw()])
        try:
            request = update_message(attempt.updates[0])
            response: Any = await store.UpdateFeatures(request, timeout=_PATIENCE)
            self._told.acknowledge(attempt, [response.version])
        except grpc.aio.AioRpcError as error:
            self._told.refuse(attempt, refusal_of(error))

    async def _batch(self, store: "FeatureStoreServiceAsyncStub") -> None:
        updates = [self._draw() for _ in range(self._chance.randint(2, 4))]
        attempt = self._told.send(updates, is_batch=True)
        try:
            request = BatchUpdateFeaturesRequest(updates=map(update_message, updates))
            response: Any = await store.BatchUpdateFeatures(request, timeout=_PATIENCE)
            self._told.acknowledge(attempt, [each.version for each in response.responses])
        except grpc.aio.AioRpcError as error:
            self._told.refuse(attempt, refusal_of(error))

    async def _stream(self, store: "FeatureStoreServiceAsyncStub") -> None:
        waiting: dict[int, Attempt] = {}

        async def messages() -> AsyncIterator[StreamUpdateFeaturesRequest]:
            for sequence in range(self._chance.randint(3, 12)):
                waiting[sequence] = self._told.send([self._draw()])
                update = update_message(waiting[sequence].updates[0])
                yield StreamUpdateFeaturesRequest(sequence=sequence, update=update)

        async for answer in store.StreamUpdateFeatures(messages(), timeout=_PATIENCE):
            attempt = waiting.pop(answer.sequence)
            if answer.WhichOneof("result") == "response":
                self._told.acknowledge(attempt, [answer.response.version])
            else:
                self._told.refuse(attempt, refusal_in(answer.error))
        assert not waiting

    def _draw(self) -> PlainUpdate:
        self._made += 1
        mark = f"{self._number}-{self._made}"
        return draw_update(self._chance, self._chance.choice(TYPES), mark)
