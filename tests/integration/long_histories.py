"""Histories written right into the tables, and the steps in which they are read."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from codec.historical_state import KEYFRAME_INTERVAL
from codec.timestamps import to_datetime
from domain.entity_key import EntityKey
from domain.timestamp import MICROSECOND, SECOND, Timestamp
from featom.v1.aggregate_pb2 import AggregateChange, FeatureAggregate
from repository.connections.isolation import ReadCommittedPool
from repository.connections.pool import Record
from repository.statements import Query
from tests.kit.fault_injection import Session, session_on

KEY: Final = EntityKey("card", "4711")
BEGIN: Final[Timestamp] = 1_790_000_000 * SECOND
PAGE: Final = 3_000_000
COLUMNS: Final = ("entity_type", "entity_id", "uid", "version", "commit_time", "batch_id", "change")
ChangeRow = tuple[str, str, UUID, int, Any, UUID, bytes, bytes | None]


def commit_time(number: int) -> Timestamp:
    return BEGIN + number * MICROSECOND


def change_row(
    uid: UUID, version: int, number: int, late: bool = False, deleted: bool = False
) -> ChangeRow:
    """The change that sets `n` to its version, or one that came late or deletes."""
    change = AggregateChange(uid=str(uid), version=version, deleted=deleted)
    change.key.entity_type, change.key.entity_id = KEY
    change.commit_time.FromNanoseconds(commit_time(number))
    state = None
    if not deleted:
        feature = (change.late_features if late else change.features)["n"]
        feature.value.int64_value = -number if late else version
        feature.event_time.FromNanoseconds(number if late else commit_time(number))
        feature.version = version
    if not (late or deleted) and version % KEYFRAME_INTERVAL == 0:
        whole = FeatureAggregate(uid=str(uid), version=version, features=change.features)
        whole.key.CopyFrom(change.key)
        whole.update_time.CopyFrom(change.commit_time)
        state = whole.SerializeToString()
    encoded = change.SerializeToString()
    time = to_datetime(commit_time(number))
    return (*KEY, uid, version, time, uid, encoded, state)


async def record(session: Session, rows: Sequence[ChangeRow]) -> None:
    await session.copy_records_to_table("changes", records=rows, columns=[*COLUMNS, "state"])
    await session.execute("VACUUM ANALYZE changes")


class Steps:
    """What each statement gave, and whether the event loop turned since the one before it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows: list[int] = []
        self.bytes: list[int] = []
        self.turned: list[bool] = []
        self._has_turned = True
        read = ReadCommittedPool.read

        async def noted(pool: ReadCommittedPool, sql: Query, *arguments: object) -> list[Record]:
            self.turned.append(self._has_turned)
            found = await read(pool, sql, *arguments)
            self.rows.append(len(found))
            self.bytes.append(
                sum(len(value) for row in found for value in row if isinstance(value, bytes))
            )
            # What waits for its turn now must have had it before the next statement.
            self._has_turned = False
            asyncio.get_running_loop().call_soon(self._turn)
            return found

        monkeypatch.setattr(ReadCommittedPool, "read", noted)

    def _turn(self) -> None:
        self._has_turned = True

    def require_bounded(self) -> None:
        assert max(self.rows) <= 500
        assert max(self.bytes) <= 262_144
        assert all(self.turned)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


async def with_incarnations(database: str, count: int) -> list[UUID]:
    """So many, each of one version and a deletion; n is 1 throughout."""
    uids = [uuid4() for _ in range(count)]
    rows = []
    for number, uid in enumerate(uids):
        rows.append(change_row(uid, 1, 10 * number))
        rows.append(change_row(uid, 2, 10 * number + 5, deleted=True))
    async with session_on(database) as session:
        await record(session, rows)
    return uids
