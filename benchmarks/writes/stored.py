"""Loads aggregates straight into the tables: as Featom would have stored them, but by COPY.

The first thousand differ in their values; the others repeat those under keys of their own. That is
as good for a measurement, and a million are loaded in a minute.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from benchmarks import dataset
from benchmarks.writes.changes import CHANGED
from featom.v1 import aggregate_pb2, feature_store_pb2

DIFFERENT: Final = 1_000
COLUMNS: Final = (
    "entity_type",
    "entity_id",
    "uid",
    "version",
    "state",
    "create_time",
    "update_time",
)
CREATED: Final = datetime.fromtimestamp(dataset.EVENTS_FROM, UTC)


async def load_aggregates(
    dsn: str,
    indexes: range,
    features: int = dataset.FEATURES,
    *,
    entity_type: str = dataset.ENTITY_TYPE,
    revision: int = 0,
) -> None:
    """Store the aggregates with these indexes, each of so many features, at version 1.

    `revision` is that of the entity type which they count as checked against.
    """
    there = rows(indexes, features, entity_type, revision)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.copy_records_to_table("aggregates", records=there, columns=COLUMNS)
    finally:
        await connection.close()


def rows(
    indexes: range, features: int, entity_type: str, revision: int
) -> Iterator[tuple[Any, ...]]:
    """The rows of the table `aggregates`."""
    templates: dict[int, aggregate_pb2.FeatureAggregate] = {}
    for index in indexes:
        template = templates.get(index % DIFFERENT)
        if template is None:
            template = templates[index % DIFFERENT] = _state(index % DIFFERENT, features)
        key = dataset.key(index, entity_type)
        uid = UUID(int=index)
        template.key.CopyFrom(key)
        template.uid = str(uid)
        template.entity_type_revision = revision
        state = template.SerializeToString()
        yield key.entity_type, key.entity_id, uid, 1, state, CREATED, CREATED


def _state(index: int, features: int) -> aggregate_pb2.FeatureAggregate:
    state = aggregate_pb2.FeatureAggregate(version=1)
    state.create_time.FromDatetime(CREATED)
    state.update_time.FromDatetime(CREATED)
    # Those that updates change come first, so that even the smallest aggregate has them.
    updates = sorted(dataset.update(index).updates, key=lambda each: each.name not in CHANGED)
    for number in range(features):
        update = updates[number % len(updates)]
        name = update.name if number < len(updates) else f"{update.name}_{number // len(updates)}"
        _store(update, state.features[name])
    return state


def _store(update: feature_store_pb2.FeatureUpdate, into: aggregate_pb2.Feature) -> None:
    into.value.CopyFrom(update.set)
    into.event_time.CopyFrom(update.event_time)
    into.version = 1
