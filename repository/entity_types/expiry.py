"""Which features of which types expire: what reads need of the entity types, and nothing more."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from codec.entity_type import load_entity_type
from codec.expiry import how_written, without_expired
from codec.timestamps import to_datetime
from domain.entity_key import EntityKey
from domain.feature_spec import FeatureSpec
from domain.ports import AtEventTime, PointInTime, StoredAggregate
from domain.timestamp import Timestamp
from repository.connections.isolation import ReadCommittedPool
from repository.entity_types.catalogue import Catalogue
from repository.statements import TYPES

_REST_AFTER_BYTES: Final = 1_048_576
"""Of stored aggregates, to look through which takes some milliseconds."""


class Expiry:
    """Leaves expired features out of what is served. Every `now` is of the database's clock."""

    def __init__(self, pool: ReadCommittedPool, catalogue: Catalogue) -> None:
        self._pool = pool
        self._catalogue = catalogue
        self._epoch = 0
        self._generation = 0
        self._by_type: dict[str, dict[str, FeatureSpec]] = {}

    async def catch_up(self, epoch: int, generation: int) -> None:
        """Know the types at least as they were in a generation, which came with a read.

        In another epoch generations are counted anew from any number.
        """
        if epoch == self._epoch and generation <= self._generation:
            return
        records = await self._pool.read(TYPES.query("read_all_types"))
        by_type = {
            name: load_entity_type(definition).expiring
            for name, _, definition, *_ in records
            if definition is not None
        }
        self._by_type = {name: expiring for name, expiring in by_type.items() if expiring}
        self._epoch = records[0]["epoch"]
        self._generation = records[0]["types_generation"]

    async def serve(
        self, keys: Sequence[EntityKey], found: list[StoredAggregate | None], now: Timestamp
    ) -> None:
        """Replace what was found under some keys by what is served at `now`, and let others go on
        meanwhile: to take large aggregates apart may take long.
        """
        by_type = self._by_type  # all of them by the types of one generation
        if not by_type:
            return
        size = 0
        for place, (key, stored) in enumerate(zip(keys, found, strict=True)):
            if stored is None or not (expiring := by_type.get(key.entity_type)):
                continue
            found[place] = _without_expired(stored, expiring, now)
            size += len(stored.state)
            if size > _REST_AFTER_BYTES:
                await asyncio.sleep(0)
                size = 0

    async def served_as_of(
        self, key: EntityKey, stored: StoredAggregate, point: PointInTime
    ) -> StoredAggregate:
        """The past as it was served then: by the entity type of that time."""
        written = how_written(stored.state)
        now = point.served_at(written.update_time)
        revision = written.entity_type_revision
        if not isinstance(point, AtEventTime) and now > written.update_time:
            revision = max(revision, await self._revision_at(key.entity_type, now))
        revisions = {key.entity_type: revision}
        policy = (await self._catalogue.policies(revisions, stored.epoch))[key.entity_type]
        if policy is None or not policy.expiring:
            return stored
        return _without_expired(stored, policy.expiring, now)

    async def _revision_at(self, name: str, time: Timestamp) -> int:
        """The revision of a type that was in force; 0: none."""
        records = await self._pool.read(TYPES.query("revision_at"), name, to_datetime(time))
        return int(records[0]["revision"]) if records else 0

    def served_one(
        self, entity_type: str, stored: StoredAggregate, now: Timestamp
    ) -> StoredAggregate:
        expiring = self._by_type.get(entity_type)
        return _without_expired(stored, expiring, now) if expiring else stored


def _without_expired(
    stored: StoredAggregate, expiring: Mapping[str, FeatureSpec], now: Timestamp
) -> StoredAggregate:
    return stored._replace(state=without_expired(stored.state, expiring, now))
