"""Which aggregates of a type were written since a mark: by transaction, and not by a clock.

A mark is a snapshot: the transactions that were under way, and the number from which on none was
committed. What was committed since is what these and the later ones have written. A commit time
could not tell: it is read before the commit, which may come much later, and clocks jump. Numbers of
transactions that a restored backup brought along may come again; that gives too much, never too
little. Only a failover can take numbers back, and then the timeline is another one.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple, TypeAlias

from codec.state import load_features
from domain.entity_type_store import MarkExpired, ScannedAggregate, ScannedPage
from repository.connections.pool import Record
from repository.statements import TYPES

Fetch: TypeAlias = Callable[..., Awaitable[Sequence[Record]]]
"""Runs a statement with its arguments, at READ COMMITTED."""

_KEYS: Final = 1_000
"""Changes whose keys are read at a time."""
_FIRST_STEP: Final = 256
"""Transactions that are looked at at a time. PostgreSQL knows little of the newest rows, and may
read all that a step has for each page of it."""
_LARGEST_STEP: Final = 4_096
PAGE: Final = 200
PAGE_BYTES: Final = 2**20


class SnapshotMark(NamedTuple):
    """A point in the order of all commits."""

    timeline: str
    next_transaction: int
    """None with this number, or with a greater one, was committed."""
    under_way: Sequence[str]
    """Smaller numbers, of transactions that were not committed yet."""


async def mark(fetch: Fetch) -> SnapshotMark:
    """Everything that is committed now comes before it."""
    ((timeline, next_transaction, under_way),) = await fetch(TYPES.query("mark"))
    return SnapshotMark(timeline, int(next_transaction), under_way)


async def written_since(
    fetch: Fetch, name: str, since: SnapshotMark
) -> AsyncGenerator[Sequence[ScannedAggregate], None]:
    """See domain.entity_type_store. Raises MarkExpired."""
    until = await mark(fetch)
    if until.timeline != since.timeline:
        raise MarkExpired
    position, step, began_before = since.next_transaction, _FIRST_STEP, since.under_way
    while position < until.next_transaction or began_before:
        end = min(position + step, until.next_transaction)
        changes = await fetch(
            TYPES.query("written_since"), name, str(position), str(end), began_before, _KEYS
        )
        new = [int(transaction) for transaction, _, is_older in changes if not is_older]
        if len(new) < _KEYS:
            position, step = end, min(step * 2, _LARGEST_STEP)
        else:
            # The page ends with a whole transaction.
            position, step = max(new) + 1, max(step // 2, 1)
        began_before = ()
        ids = sorted({entity_id for _, entity_id, _ in changes})
        async with aclosing(_pages(fetch, name, ids)) as pages:
            async for page in pages:
                yield page


async def _pages(
    fetch: Fetch, name: str, ids: Sequence[str]
) -> AsyncGenerator[Sequence[ScannedAggregate], None]:
    for first in range(0, len(ids), PAGE):
        after, more = "", True
        while more:
            some = list(ids[first : first + PAGE])
            records = await fetch(TYPES.query("scan_written"), name, some, after, PAGE_BYTES)
            page = scanned(records)
            if page.aggregates:
                yield page.aggregates
                after = page.aggregates[-1].entity_id
            more = page.more


def scanned(records: Sequence[Record]) -> ScannedPage:
    """A page as the statements give it: id, state, and whether there are more."""
    aggregates = [
        ScannedAggregate(entity_id, load_features(state)) for entity_id, state, _ in records
    ]
    return ScannedPage(aggregates, more=bool(records) and records[-1]["more"])
