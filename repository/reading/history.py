"""Reads of the past, a page of changes at a time.

A page is one statement: it takes its turn among other work, and the event loop turns before the
next one. No snapshot is held in between. None is needed: changes are only added, behind all that
were read, and what an erasure takes away of an incarnation is missed.
"""

from uuid import UUID

from codec.historical_state import KEYFRAME_INTERVAL, FoldByVersion, HistoricalState
from codec.timestamps import to_datetime
from domain.entity_key import EntityKey
from domain.ports import AtCommitTime, AtEventTime, AtVersion, PointInTime, StoredAggregate
from domain.timestamp import Timestamp
from repository.connections.bulkhead import Bulkhead
from repository.entity_types.expiry import Expiry
from repository.reading.event_times import EventTimes
from repository.reading.incarnations import Current, Incarnations
from repository.reading.past_statements import MOST_BYTES, PastStatements
from repository.statements import HISTORY


class History:
    """Reads past versions of an aggregate, of whichever incarnation.

    When its caller goes away, it ends with the page that is being read.
    """

    def __init__(
        self,
        statements: PastStatements,
        incarnations: Incarnations,
        event_times: EventTimes,
        bulkhead: Bulkhead,
        expiry: Expiry,
    ) -> None:
        """What `expiry` reads is a piece of work of the bulkhead."""
        self._statements = statements
        self._incarnations = incarnations
        self._event_times = event_times
        self._bulkhead = bulkhead
        self._expiry = expiry

    async def read_as_of(self, key: EntityKey, point: PointInTime) -> StoredAggregate | None:
        """See domain.ports.AggregateReader."""
        current = await self._incarnations.current(key)
        found = await self._at(key, current, point)
        if found is None:
            return None
        return await self._bulkhead.run(lambda: self._expiry.served_as_of(key, found, point))

    async def _at(
        self, key: EntityKey, current: Current, point: PointInTime
    ) -> StoredAggregate | None:
        match point:
            case AtVersion(version, uid):
                uid = uid or await self._newest(key, current)
                return await self._at_version(key, current, uid, version) if uid else None
            case AtCommitTime(time, uid):
                uid = uid or await self._living_at(key, current, time)
                if uid is None:
                    return None
                version = await self._version(key, current, uid, time)
                return await self._at_version(key, current, uid, version)
            case AtEventTime():
                return await self._event_times.read(key, current, point)

    async def _newest(self, key: EntityKey, current: Current) -> UUID | None:
        if current.uid is not None:
            return current.uid
        incarnations = await self._incarnations.all(key)
        return incarnations[-1].uid if incarnations else None

    async def _living_at(self, key: EntityKey, current: Current, time: Timestamp) -> UUID | None:
        """The last incarnation that had begun by a time, perhaps deleted by then."""
        moment = to_datetime(time)
        if current.begin is not None and current.begin <= moment:
            return current.uid
        begun = [each for each in await self._incarnations.all(key) if each.begin <= moment]
        return begun[-1].uid if begun else None

    async def _version(self, key: EntityKey, current: Current, uid: UUID, time: Timestamp) -> int:
        """The newest version of an incarnation at a commit time; 0 if there was none."""
        newest = current.version if uid == current.uid else await self._newest_version(key, uid)
        arguments = (*key, uid, to_datetime(time), newest)
        records = await self._statements.run(HISTORY.query("version_at"), *arguments)
        return int(records[0]["version"])

    async def _newest_version(self, key: EntityKey, uid: UUID) -> int:
        records = await self._statements.run(HISTORY.query("newest_version"), *key, uid)
        return int(records[0]["version"]) if records else 0

    async def _at_version(
        self, key: EntityKey, current: Current, uid: UUID, version: int
    ) -> StoredAggregate | None:
        if uid == current.uid and version == current.version and current.state is not None:
            return StoredAggregate(uid, current.epoch, version, current.state)
        # Whether there is such a version only its changes can tell: `current` was read before.
        if version < 1:
            return None
        keyframe = await self._keyframe(key, uid, version)
        if version - keyframe.version > KEYFRAME_INTERVAL:
            return None  # retention has dropped what it began with
        try:
            past = await self._folded(key, uid, keyframe, version)
        except ValueError:
            return None  # the same, or an erasure has
        return StoredAggregate(uid, current.epoch, *past) if past.version == version else None

    async def _keyframe(self, key: EntityKey, uid: UUID, version: int) -> HistoricalState:
        """The newest whole state up to a version; an empty one if the history begins later."""
        oldest = max(version - KEYFRAME_INTERVAL + 1, 1)
        records = await self._statements.run(
            HISTORY.query("read_keyframe"), *key, uid, version, oldest
        )
        return HistoricalState(*records[0]) if records else HistoricalState(0, b"")

    async def _folded(
        self, key: EntityKey, uid: UUID, keyframe: HistoricalState, version: int
    ) -> HistoricalState:
        """A keyframe with what each version after it changed. Raises ValueError if one lacks."""
        folded = FoldByVersion(keyframe.state)
        after = keyframe.version
        while after < version:
            arguments = (*key, uid, after + 1, version, MOST_BYTES)
            page = await self._statements.changes_of(HISTORY.query("read_versions"), *arguments)
            for record in page:
                folded.add(record["change"])
            after = page[-1]["version"] if page else version
        return folded.past
