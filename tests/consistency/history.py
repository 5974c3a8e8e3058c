"""What the database kept: every change in the order of its commit, and what stands at the end."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple

import asyncpg

from featom.v1.aggregate_pb2 import AggregateChange, FeatureAggregate
from tests.consistency.operations import ENTITY_TYPE, MARK
from tests.consistency.recorder import NEVER

# The transactions that change one incarnation come one after the other, each after it has seen the
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
    entries = {
        key: in_order(entries, stored[key].uid if key in stored else "")
        for key, entries in found.items()
    }
    return History(entries, stored)


def in_order(entries: Sequence[Entry], living: str) -> list[Entry]:
    """Entries of one key as they follow from one another.

    Args:
        entries: in the order of their transactions.
        living: the uid of the aggregate that is there; empty if there is none.

    Incarnations come as they ended. Who makes an entity does not notice that others have made and
    deleted it, or erased what was left, since its read: that has no row. So it may come after them
    and have the smaller number. Where two of them stood at once, this is no order that holds: the
    first one goes on after the second was known, or is deleted by one who came after that.

    A change of late values only stands behind the version that it left as it was; it does not write
    the row, so another server may have gone on meanwhile.
    """
    incarnations: defaultdict[str, list[Entry]] = defaultdict(list)
    late: defaultdict[tuple[str, int], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.advances:
            incarnations[entry.change.uid].append(entry)
        else:
            late[entry.change.uid, entry.change.version].append(entry)
    ended = sorted(
        incarnations.values(),
        key=lambda each: (each[0].change.uid == living, each[-1].transaction),
    )
    ordered = []
    for entry in chain(*ended):
        ordered += [entry, *late.pop((entry.change.uid, entry.change.version), ())]
    return [*ordered, *chain(*late.values())]
