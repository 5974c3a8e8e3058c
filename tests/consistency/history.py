"""What the database kept: every change in the order of its commit, and what stands at the end."""

from typing import Final, NamedTuple

import asyncpg

from featom.v1.aggregate_pb2 import AggregateChange, FeatureAggregate
from tests.consistency.operations import ENTITY_TYPE, MARK
from tests.consistency.recorder import NEVER

# The transactions that change one aggregate come one after the other, each after it has seen the
# one before, so their numbers rise.
_CHANGES: Final = """
SELECT entity_id, xid::text::bigint AS xid, change, state FROM changes
WHERE entity_type = $1 ORDER BY entity_id, xid, commit_time
"""
_AGGREGATES: Final = "SELECT entity_id, state FROM aggregates WHERE entity_type = $1"


class Entry(NamedTuple):
    """One change that was committed."""

    transaction: int
    change: AggregateChange
    keyframe: FeatureAggregate | None

    @property
    def advances(self) -> bool:
        change = self.change
        return bool(change.features or change.removed or change.deleted)

    @property
    def operation(self) -> str | None:
        """The name of the operation that made the change, where its mark tells."""
        for features in (self.change.features, self.change.late_features):
            if MARK in features:
                return features[MARK].value.string_value
        return None


class History(NamedTuple):
    """By entity id."""

    entries: dict[str, list[Entry]]
    aggregates: dict[str, FeatureAggregate]
    failed_over: int = NEVER
    """When the primary was gone whose standby kept this history, on the clock of the recording."""


async def read_history(dsn: str) -> History:
    """Read it as of one moment, when no writer is left."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            changes = await connection.fetch(_CHANGES, ENTITY_TYPE)
            aggregates = await connection.fetch(_AGGREGATES, ENTITY_TYPE)
    finally:
        await connection.close()
    found: dict[str, list[Entry]] = {}
    for key, transaction, change, state in changes:
        keyframe = None if state is None else FeatureAggregate.FromString(state)
        entry = Entry(transaction, AggregateChange.FromString(change), keyframe)
        found.setdefault(key, []).append(entry)
    stored = {key: FeatureAggregate.FromString(state) for key, state in aggregates}
    return History({key: _in_order(entries) for key, entries in found.items()}, stored)


def _in_order(entries: list[Entry]) -> list[Entry]:
    """Entries as they follow from one another.

    A change of late values only stands behind the version that it left as it was; it does not write
    the row, so another server may have gone on meanwhile.
    """
    late: dict[tuple[str, int], list[Entry]] = {}
    for entry in entries:
        if not entry.advances:
            late.setdefault((entry.change.uid, entry.change.version), []).append(entry)
    ordered = []
    for entry in entries:
        if entry.advances:
            ordered += [entry, *late.pop((entry.change.uid, entry.change.version), ())]
    return [*ordered, *(entry for rest in late.values() for entry in rest)]
