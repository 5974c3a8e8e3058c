"""Reads of what all events up to a time make: every change of an incarnation, in pages.

To begin with the newest keyframe would miss what came late after it, so all of them are read. How
many that may be has a limit, and so do their bytes.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from codec.event_time_fold import FoldByEventTime
from codec.timestamps import to_datetime
from domain.entity_key import EntityKey
from domain.errors import LimitExceeded
from domain.limits import Limits
from domain.ports import AtEventTime, StoredAggregate
from domain.timestamp import Timestamp
from repository.connections.pool import Record
from repository.reading.incarnations import Current, Incarnations
from repository.reading.past_statements import MOST_BYTES, MOST_CHANGES, PastStatements
from repository.statements import HISTORY

_BEFORE_ALL: Final = to_datetime(0)


class EventTimes:
    """Reads aggregates as of event times."""

    def __init__(
        self, statements: PastStatements, incarnations: Incarnations, limits: Limits
    ) -> None:
        self._statements = statements
        self._incarnations = incarnations
        self._limits = limits

    async def read(
        self, key: EntityKey, current: Current, point: AtEventTime
    ) -> StoredAggregate | None:
        """What the newest incarnation has that has anything then. Raises LimitExceeded."""
        read = _Read(self._limits)
        async for uid in self._candidates(key, current, point):
            found = await self._at(key, uid, point.time, current.epoch, read)
            if found is not None:
                return found
        return None

    async def _candidates(
        self, key: EntityKey, current: Current, point: AtEventTime
    ) -> AsyncIterator[UUID]:
        """The newest first, back to a deletion up to the time."""
        if point.uid is not None:
            yield point.uid
            return
        if current.uid is not None:
            yield current.uid
        moment = to_datetime(point.time)
        for each in reversed(await self._incarnations.all(key)):
            if each.uid == current.uid or each.is_current:
                continue
            if each.end <= moment:
                return
            yield each.uid

    async def _at(
        self, key: EntityKey, uid: UUID, time: Timestamp, epoch: int, read: "_Read"
    ) -> StoredAggregate | None:
        folded = FoldByEventTime(time)
        before = await self._fold(key, uid, folded, read)
        if folded.is_torn:
            folded = folded.again()
            before = await self._fold(key, uid, folded, _Read(self._limits))
        past = folded.past
        if past is None:
            return None
        if before is not None and not await self._is_kept(key, uid, before):
            return None  # it was erased between two pages, and the last one tells of that alone
        return StoredAggregate(uid, epoch, *past)

    async def _fold(
        self, key: EntityKey, uid: UUID, folded: FoldByEventTime, read: "_Read"
    ) -> Record | None:
        """Add all changes; returns the last one of the last page but one."""
        before: Record | None = None
        last: Record | None = None
        async for page in self._pages(key, uid, read):
            before, last = last, page[-1]
            for record in page:
                folded.add(record["change"])
            if folded.size > self._limits.answer_bytes:
                raise LimitExceeded("bytes of aggregates in an answer", self._limits.answer_bytes)
        return before

    async def _pages(
        self, key: EntityKey, uid: UUID, read: "_Read"
    ) -> AsyncIterator[Sequence[Record]]:
        """All changes, oldest first. Raises LimitExceeded."""
        page = await self._page(key, uid, 0, _BEFORE_ALL)
        if page and page[-1]["more"]:
            await self._refuse_too_many(key, uid, read)
        while page:
            read.add(page)
            yield page
            version, time, _, more = page[-1]
            page = await self._page(key, uid, version, time) if more else []

    async def _page(
        self, key: EntityKey, uid: UUID, version: int, time: datetime
    ) -> Sequence[Record]:
        """The first changes after one."""
        arguments = (*key, uid, version, time, MOST_CHANGES, MOST_BYTES)
        return await self._statements.changes_of(HISTORY.query("read_changes"), *arguments)

    async def _refuse_too_many(self, key: EntityKey, uid: UUID, read: "_Read") -> None:
        """Before the work is done: to count is nothing beside it."""
        records = await self._statements.run(
            HISTORY.query("has_more_changes"), *key, uid, read.changes_left
        )
        if records[0]["has_more"]:
            raise LimitExceeded("changes in a read", self._limits.past_changes)

    async def _is_kept(self, key: EntityKey, uid: UUID, change: Record) -> bool:
        """Whether a change that was read is still there."""
        position = (change["version"], change["commit_time"])
        records = await self._statements.run(HISTORY.query("is_change_kept"), *key, uid, *position)
        return bool(records[0]["is_kept"])


class _Read:
    """What one read has gone through, of all incarnations."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.changes_left = limits.past_changes
        self._bytes_left = limits.past_bytes

    def add(self, page: Sequence[Record]) -> None:
        """Count a page. Raises LimitExceeded."""
        self.changes_left -= len(page)
        self._bytes_left -= sum(len(record["change"]) for record in page)
        if self.changes_left < 0:
            raise LimitExceeded("changes in a read", self._limits.past_changes)
        if self._bytes_left < 0:
            raise LimitExceeded("bytes of changes in a read", self._limits.past_bytes)
