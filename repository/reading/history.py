"""Reads of the past, a page of changes at a time.

A page is one statement: it takes its turn among other work, and the event loop turns before the
next one. No snapshot is held in between. None is needed: changes are only added, behind all that
were read, and what an erasure takes away goes together with the incarnation.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final

from codec.historical_state import (
    KEYFRAME_INTERVAL,
    FoldByEventTime,
    FoldByVersion,
    HistoricalState,
)
from codec.timestamps import to_datetime
from domain.entity_key import EntityKey
from domain.errors import LimitExceeded
from domain.limits import Limits
from domain.ports import AtCommitTime, AtEventTime, AtVersion, PointInTime, StoredAggregate
from domain.timestamp import Timestamp
from repository.connections.bulkhead import Bulkhead
from repository.connections.isolation import ReadCommittedPool
from repository.connections.pool import Record
from repository.entity_types.expiry import Expiry
from repository.statements import READ, Query

PAGE_CHANGES: Final = 500
PAGE_BYTES: Final = 262_144
"""Of changes. To fold as many takes some milliseconds, in which no other call is answered."""

_BEFORE_ALL: Final = to_datetime(0)


class History:
    """Reads past versions of the present incarnation of an aggregate.

    When its caller goes away, it ends with the page that is being read.
    """

    def __init__(
        self, pool: ReadCommittedPool, bulkhead: Bulkhead, expiry: Expiry, limits: Limits
    ) -> None:
        """Each statement on `pool` is a piece of work of the bulkhead."""
        self._pool = pool
        self._bulkhead = bulkhead
        self._expiry = expiry
        self._limits = limits

    async def read_as_of(self, key: EntityKey, point: PointInTime) -> StoredAggregate | None:
        """See domain.ports.AggregateReader."""
        current = await self._current(key)
        if current is None:
            return None
        found = await self._at(key, current, point)
        if found is None:
            return None
        return await self._bulkhead.run(lambda: self._expiry.served_as_of(key, found, point))

    async def _at(
        self, key: EntityKey, current: StoredAggregate, point: PointInTime
    ) -> StoredAggregate | None:
        match point:
            case AtVersion(version):
                return await self._at_version(key, current, version)
            case AtCommitTime(time):
                version = await self._version(key, current, time)
                return await self._at_version(key, current, version)
            case AtEventTime(time):
                return await self._at_event_time(key, current, time)

    async def _current(self, key: EntityKey) -> StoredAggregate | None:
        records = await self._read(READ.query("current_incarnation"), *key)
        return StoredAggregate(*records[0]) if records else None

    async def _version(self, key: EntityKey, current: StoredAggregate, time: Timestamp) -> int:
        """The newest version at a commit time; 0 if there was none."""
        arguments = (*key, current.uid, to_datetime(time), current.version)
        records = await self._read(READ.query("version_at"), *arguments)
        return int(records[0]["version"])

    async def _at_version(
        self, key: EntityKey, current: StoredAggregate, version: int
    ) -> StoredAggregate | None:
        if version == current.version:
            return current
        # Whether there is such a version only its changes can tell: `current` was read before.
        if version < 1:
            return None
        keyframe = await self._keyframe(key, current, version)
        if version - keyframe.version > KEYFRAME_INTERVAL:
            return None  # retention has dropped what it began with
        try:
            past = await self._folded(key, current, keyframe, version)
        except ValueError:
            return None  # the same
        return current._replace(**past._asdict()) if past.version == version else None

    async def _keyframe(
        self, key: EntityKey, current: StoredAggregate, version: int
    ) -> HistoricalState:
        """The newest whole state up to a version; an empty one if the history begins later."""
        oldest = max(version - KEYFRAME_INTERVAL + 1, 1)
        records = await self._read(READ.query("read_keyframe"), *key, current.uid, version, oldest)
        return HistoricalState(*records[0]) if records else HistoricalState(0, b"")

    async def _folded(
        self, key: EntityKey, current: StoredAggregate, keyframe: HistoricalState, version: int
    ) -> HistoricalState:
        """A keyframe with what each version after it changed. Raises ValueError if one lacks."""
        folded = FoldByVersion(keyframe.state)
        after = keyframe.version
        while after < version:
            arguments = (*key, current.uid, after + 1, version, PAGE_BYTES)
            page = await self._read(READ.query("read_versions"), *arguments)
            for record in page:
                folded.add(record["change"])
            after = page[-1]["version"] if page else version
        return folded.past

    async def _at_event_time(
        self, key: EntityKey, current: StoredAggregate, time: Timestamp
    ) -> StoredAggregate | None:
        folded = FoldByEventTime(time)
        pages = 0
        async for page in self._pages(key, current):
            pages += 1
            for record in page:
                folded.add(record["change"])
            if folded.size > self._limits.answer_bytes:
                raise LimitExceeded("bytes of aggregates in an answer", self._limits.answer_bytes)
        past = folded.past
        if past is None or (pages > 1 and not await self._is_current(key, current)):
            return None
        return current._replace(**past._asdict())

    async def _pages(
        self, key: EntityKey, current: StoredAggregate
    ) -> AsyncIterator[Sequence[Record]]:
        """All changes, oldest first. Raises LimitExceeded."""
        page = await self._page(key, current, 0, _BEFORE_ALL)
        if page and page[-1]["more"]:
            await self._refuse_too_many(key, current)
        size = 0
        while page:
            size += sum(len(record["change"]) for record in page)
            if size > self._limits.past_bytes:
                raise LimitExceeded("bytes of changes in a read", self._limits.past_bytes)
            yield page
            version, time, _, more = page[-1]
            page = await self._page(key, current, version, time) if more else []

    async def _page(
        self, key: EntityKey, current: StoredAggregate, version: int, time: datetime
    ) -> Sequence[Record]:
        """The first changes after one."""
        arguments = (*key, current.uid, version, time, PAGE_CHANGES, PAGE_BYTES)
        return await self._read(READ.query("read_changes"), *arguments)

    async def _refuse_too_many(self, key: EntityKey, current: StoredAggregate) -> None:
        """Before the work is done: to count is nothing beside it."""
        limit = self._limits.past_changes
        records = await self._read(READ.query("has_more_changes"), *key, current.uid, limit)
        if records[0]["has_more"]:
            raise LimitExceeded("changes in a read", limit)

    async def _is_current(self, key: EntityKey, read: StoredAggregate) -> bool:
        """Whether the incarnation is still there, and so are its changes that were read."""
        current = await self._current(key)
        return current is not None and current.uid == read.uid

    async def _read(self, query: Query, *arguments: object) -> list[Record]:
        return await self._bulkhead.run(lambda: self._pool.read(query, *arguments))
