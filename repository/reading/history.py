"""Reads of the past: the newest keyframe before it, and the changes since."""

from typing import Final

from domain.entity_key import EntityKey
from domain.instant import Instant
from domain.ports import AtCommitTime, AtEventTime, AtVersion, PointInTime, StoredAggregate
from repository.codec.instants import to_datetime
from repository.codec.past import Past, fold, fold_by_event_time
from repository.connections.pool import Pool
from repository.statements import READ

_ALL: Final = 2**63 - 1


class History:
    """Reads past versions of the present incarnation of an aggregate."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def read_past(self, key: EntityKey, point: PointInTime) -> StoredAggregate | None:
        """See domain.ports.AggregateReader."""
        current = await self._current(key)
        if current is None:
            return None
        match point:
            case AtVersion(version):
                return await self._at_version(key, current, version)
            case AtCommitTime(time):
                return await self._at_version(key, current, await self._version(key, current, time))
            case AtEventTime(time):
                return await self._at_event_time(key, current, time)

    async def _current(self, key: EntityKey) -> StoredAggregate | None:
        records = await self._pool.read(READ["current_incarnation"], *key)
        return StoredAggregate(*records[0]) if records else None

    async def _version(self, key: EntityKey, current: StoredAggregate, time: Instant) -> int:
        """The newest version at a commit time; 0 if there was none."""
        arguments = (*key, current.uid, to_datetime(time))
        records = await self._pool.read(READ["version_at"], *arguments)
        return records[0][0] or 0

    async def _at_version(
        self, key: EntityKey, current: StoredAggregate, version: int
    ) -> StoredAggregate | None:
        if version == current.version:
            return current
        # Whether there is such a version only its changes can tell: `current` was read before.
        if version < 1:
            return None
        keyframe = await self._keyframe(key, current, version)
        changes = await self._changes(key, current, keyframe.version, version)
        try:
            past = fold(keyframe.state, changes)
        except ValueError:
            return None  # retention has dropped what it began with
        return current._replace(**past._asdict()) if past.version == version else None

    async def _at_event_time(
        self, key: EntityKey, current: StoredAggregate, time: Instant
    ) -> StoredAggregate | None:
        changes = await self._changes(key, current, 0, _ALL)
        past = fold_by_event_time(changes, time)
        return current._replace(**past._asdict()) if past else None

    async def _keyframe(self, key: EntityKey, current: StoredAggregate, version: int) -> Past:
        """The newest whole state up to a version; an empty one if the history begins later."""
        records = await self._pool.read(READ["read_keyframe"], *key, current.uid, version)
        return Past(*records[0]) if records else Past(0, b"")

    async def _changes(
        self, key: EntityKey, current: StoredAggregate, after: int, until: int
    ) -> list[bytes]:
        records = await self._pool.read(READ["read_changes"], *key, current.uid, after, until)
        return [record["change"] for record in records]
