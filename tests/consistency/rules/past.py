"""What the database kept of every entity, as steps from one version to the next."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import asyncpg

from featom.v1.aggregate_pb2 import AggregateChange
from tests.consistency.rules.drawing import MARK
from tests.consistency.rules.plain_type import Features, Stored
from tests.consistency.rules.wire import stored_of
from tests.consistency.rules.writing import Entity

_CHANGES: Final = """
SELECT entity_type, entity_id, xid::text::bigint AS xid, change FROM changes
ORDER BY entity_type, entity_id, version, xid, commit_time
"""


class Step(NamedTuple):
    """One change of one entity."""

    entity: Entity
    xid: int
    version: int
    revision: int
    """Under which it was written; 0: under no entity type."""
    commit_time: int
    before: Features
    after: Features
    changed: frozenset[str]
    """What it set or removed; empty: all of it came too late."""
    late: frozenset[str]
    mark: str


async def read_as_of(dsn: str) -> dict[Entity, list[Step]]:
    """Every step, in order; a step of late values stands behind the version it left as it was."""
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(_CHANGES)
    await connection.close()
    past: dict[Entity, list[Step]] = {}
    for entity_type, entity_id, xid, encoded in rows:
        steps = past.setdefault((entity_type, entity_id), [])
        steps.append(_step(steps, xid, AggregateChange.FromString(encoded)))
    return past


def versions_of(steps: list[Step]) -> Mapping[int, Step]:
    """The steps that made a version, by its number."""
    return {step.version: step for step in steps if step.changed}


def _step(steps: list[Step], xid: int, change: AggregateChange) -> Step:
    before: Features = steps[-1].after if steps else {}
    after = dict(before)
    for name in change.removed:
        del after[name]
    set_now: dict[str, Stored] = {name: stored_of(each) for name, each in change.features.items()}
    after |= set_now
    marked = change.features if MARK in change.features else change.late_features
    return Step(
        entity=(change.key.entity_type, change.key.entity_id),
        xid=xid,
        version=change.version,
        revision=change.entity_type_revision,
        commit_time=change.commit_time.ToNanoseconds(),
        before=before,
        after=after,
        changed=frozenset([*set_now, *change.removed]),
        late=frozenset(change.late_features),
        mark=marked[MARK].value.string_value,
    )
