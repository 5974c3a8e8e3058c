"""Pages of the changes of an entity, across its incarnations.

A page goes on behind a change, and not at a number: changes that come meanwhile are behind all of
them. It is read in pieces, each a statement; a change is the same in whichever snapshot.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final
from uuid import UUID

from codec.timestamps import from_datetime, to_datetime
from domain.ports import ChangePosition, HistoryPage, HistoryQuery
from domain.timestamp import EARLIEST, LATEST, Timestamp
from repository.connections.pool import Record
from repository.reading.incarnations import Incarnations
from repository.reading.past_statements import MOST_BYTES, MOST_CHANGES, PastStatements
from repository.statements import HISTORY

_FIRST: Final = (0, to_datetime(EARLIEST))
_LAST: Final = (2**63 - 1, to_datetime(LATEST))


class ChangePages:
    """Lists changes."""

    def __init__(self, statements: PastStatements, incarnations: Incarnations) -> None:
        self._statements = statements
        self._incarnations = incarnations

    async def read(self, query: HistoryQuery) -> HistoryPage:
        """See domain.ports.AggregateReader.list_changes."""
        page = _Page(query.limit, query.max_bytes)
        more = False
        async for uid in self._uids(query):
            if page.is_full:
                more = True
                break
            more = await self._fill(page, query, uid)
            if more:
                break
        begin = await self._history_begin()
        return HistoryPage(page.changes, page.end if more else None, begin)

    async def _uids(self, query: HistoryQuery) -> AsyncIterator[UUID]:
        """The incarnations to go through; the others are looked for when the first is done with."""
        after = query.after
        first = query.uid or (after and after.uid)
        if first is None and query.newest_first:
            first = (await self._incarnations.current(query.key)).uid
        if first is not None:
            yield first
        if query.uid is not None:
            return
        others = await self._incarnations.all(query.key)
        if query.newest_first:
            others.reverse()
        uids = [each.uid for each in others]
        if first in uids:
            uids = uids[uids.index(first) + 1 :]
        elif after is not None:
            # It was erased, or dropped: so much for what was before it.
            time = to_datetime(after.commit_time)
            uids = [each.uid for each in others if (each.begin < time) == query.newest_first]
        if first is not None and uids and not query.newest_first:
            # What it still got before the next one began, its deletion if nothing else.
            yield first
        for uid in uids:
            yield uid

    async def _fill(self, page: "_Page", query: HistoryQuery, uid: UUID) -> bool:
        """Read changes of an incarnation until the page is full; whether it has others then."""
        statement = (
            HISTORY.query("read_changes_back")
            if query.newest_first
            else HISTORY.query("read_changes")
        )
        start = _start(page.end or query.after, uid, newest_first=query.newest_first)
        more = True
        while more and not page.is_full:
            most = (min(MOST_CHANGES, page.changes_left), min(MOST_BYTES, page.bytes_left))
            arguments = (*query.key, uid, *start, *most)
            records = await self._statements.changes_of(statement, *arguments)
            if not all(page.takes(uid, record) for record in records):
                return True
            more = bool(records) and records[-1]["more"]
            if more:
                start = (records[-1]["version"], records[-1]["commit_time"])
        return more

    async def _history_begin(self) -> Timestamp:
        (record,) = await self._statements.run(HISTORY.query("history_begin"))
        begin = record["begin_time"]
        return EARLIEST if begin is None else from_datetime(begin)


def _start(after: ChangePosition | None, uid: UUID, *, newest_first: bool) -> tuple[int, datetime]:
    """Behind which version and commit time of an incarnation to go on."""
    if after is not None and after.uid == uid:
        return after.version, to_datetime(after.commit_time)
    return _LAST if newest_first else _FIRST


class _Page:
    """What was read so far."""

    def __init__(self, limit: int, max_bytes: int) -> None:
        self.changes: list[bytes] = []
        self.changes_left = limit
        self.bytes_left = max_bytes
        self.end: ChangePosition | None = None

    @property
    def is_full(self) -> bool:
        return self.changes_left <= 0 or self.bytes_left <= 0

    def takes(self, uid: UUID, record: Record) -> bool:
        """Take a change if there is room; the first in any case."""
        change: bytes = record["change"]
        if self.changes and len(change) > self.bytes_left:
            return False
        self.changes.append(change)
        self.changes_left -= 1
        self.bytes_left -= len(change)
        self.end = ChangePosition(uid, record["version"], from_datetime(record["commit_time"]))
        return True
