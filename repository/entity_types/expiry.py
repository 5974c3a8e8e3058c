"""Which features of which types expire: what reads need of the entity types, and nothing more."""

from collections.abc import Sequence

from domain.entity_key import EntityKey
from domain.feature_spec import FeatureSpec
from domain.instant import Instant
from domain.ports import AtVersion, PointInTime, StoredAggregate
from repository.codec.entity_type import load_entity_type
from repository.codec.expiry import how_written, without_expired
from repository.connections.pool import Pool
from repository.entity_types.catalogue import Catalogue
from repository.statements import TYPES


class Expiry:
    """Leaves expired features out of what is served. Every `now` is of the database's clock."""

    def __init__(self, pool: Pool, catalogue: Catalogue) -> None:
        """`pool` is READ COMMITTED."""
        self._pool = pool
        self._catalogue = catalogue
        self._generation = 0
        self._by_type: dict[str, dict[str, FeatureSpec]] = {}

    async def catch_up(self, generation: int) -> None:
        """Know the types at least as they were in a generation, which came with a read."""
        if generation <= self._generation:
            return
        records = await self._pool.read(TYPES["read_all_types"])
        by_type = {
            name: load_entity_type(definition).expiring
            for name, _, definition, _ in records
            if definition is not None
        }
        self._by_type = {name: expiring for name, expiring in by_type.items() if expiring}
        self._generation = records[0]["types_generation"]

    def served(
        self, keys: Sequence[EntityKey], found: list[StoredAggregate | None], now: Instant
    ) -> list[StoredAggregate | None]:
        """What was found under some keys, as it is served at `now`."""
        if not self._by_type:
            return found
        return [
            stored if stored is None else self.served_one(key.entity_type, stored, now)
            for key, stored in zip(keys, found, strict=True)
        ]

    async def served_past(
        self, key: EntityKey, stored: StoredAggregate, point: PointInTime
    ) -> StoredAggregate:
        """The past as it was served then: by the entity type that it was written under."""
        written = how_written(stored.state)
        revisions = {key.entity_type: written.entity_type_revision}
        policy = (await self._catalogue.policies(revisions))[key.entity_type]
        if policy is None or not policy.expiring:
            return stored
        now = written.update_time if isinstance(point, AtVersion) else point.time
        return stored._replace(state=without_expired(stored.state, policy.expiring, now))

    def served_one(
        self, entity_type: str, stored: StoredAggregate, now: Instant
    ) -> StoredAggregate:
        expiring = self._by_type.get(entity_type)
        if not expiring:
            return stored
        return stored._replace(state=without_expired(stored.state, expiring, now))
