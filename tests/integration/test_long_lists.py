"""Long histories are listed, and incarnations found among many, in bounded pieces."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import uuid4

import pytest
from msgspec.structs import replace

from codec.timestamps import to_datetime
from domain.entity_key import EntityKey
from domain.errors import LimitExceeded
from domain.limits import Limits
from domain.ports import AtCommitTime, AtEventTime, AtVersion, HistoryQuery, PointInTime
from domain.timestamp import LATEST
from domain.update import Deletion
from featom.v1.aggregate_pb2 import AggregateChange
from repository.connections.isolation import ReadCommittedPool
from repository.connections.pool import Record
from repository.reading import incarnations
from repository.reading.incarnations import Incarnations
from repository.statements import Query
from tests.integration.long_histories import (
    KEY,
    PAGE,
    Steps,
    change_row,
    commit_time,
    record,
    steps,
    with_incarnations,
)
from tests.kit.fault_injection import Session, repository_on, session_on
from tests.kit.reading import past_features
from tests.kit.samples import add, put, update

__all__ = ["steps"]

MANY: Final = 100_000


@contextmanager
def little_memory(most: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most


@pytest.mark.parametrize("late", [False, True], ids=["versions", "late values"])
async def test_any_moment_of_a_long_history_is_read_in_bounded_steps(
    database: str, steps: Steps, late: bool
) -> None:
    """Of an aggregate that was deleted: nothing tells of it but its changes."""
    uid = uuid4()
    rows = [change_row(uid, 1, 1)]
    rows += [change_row(uid, 1 if late else number, number, late) for number in range(2, MANY)]
    rows.append(change_row(uid, 2 if late else MANY, MANY, deleted=True))
    newest = 1 if late else MANY - 1
    async with session_on(database) as session:
        await record(session, rows)
    async with repository_on(database) as repository:
        points: list[tuple[PointInTime, int]] = [
            (AtVersion(newest), newest),
            (AtVersion(max(newest // 2, 1), uid), max(newest // 2, 1)),
            (AtCommitTime(commit_time(MANY - 1)), newest),
            (AtCommitTime(commit_time(MANY // 3)), 1 if late else MANY // 3),
        ]
        with little_memory(4_000_000):
            for point, number in points:
                assert await past_features(repository, KEY, point) == {"n": number}
        assert sum(steps.rows) < 600
        steps.require_bounded()
        query = HistoryQuery(KEY, 1_000, PAGE)
        for newest_first in (True, False):
            page = await repository.list_changes(query._replace(newest_first=newest_first))
            assert len(page.changes) == 1_000
            assert page.end is not None
            assert page.end.commit_time == commit_time(MANY - 999 if newest_first else 1_000)
        steps.require_bounded()
    assert sum(steps.rows) < 3_000


@pytest.mark.parametrize("late", [False, True], ids=["versions", "late values"])
async def test_all_events_of_a_long_history_are_gone_through_in_bounded_steps(
    database: str, steps: Steps, late: bool
) -> None:
    uid = uuid4()
    rows = [change_row(uid, 1, 1)]
    rows += [change_row(uid, 1 if late else number, number, late) for number in range(2, MANY)]
    rows.append(change_row(uid, 2 if late else MANY, MANY, deleted=True))
    time = MANY // 2 if late else commit_time(MANY // 2)
    async with session_on(database) as session:
        await record(session, rows)
    async with repository_on(database) as repository:
        past = await past_features(repository, KEY, AtEventTime(time))
    assert past == {"n": -MANY // 2 if late else MANY // 2}
    assert sum(steps.rows) >= MANY
    steps.require_bounded()


async def test_a_page_of_large_changes_is_read_in_pieces(database: str, steps: Steps) -> None:
    async with repository_on(database) as repository:
        for number in range(40):
            await repository.update(update(put("f", "x" * 100_000, number), key=KEY))
        steps.bytes.clear()
        page = await repository.list_changes(HistoryQuery(KEY, 1_000, PAGE))
    assert 28 <= len(page.changes) <= 29
    assert sum(map(len, page.changes)) <= PAGE
    assert page.end is not None
    assert max(steps.bytes) <= 262_144


async def test_the_incarnation_of_a_time_is_found_among_many_in_bounded_steps(
    database: str, steps: Steps
) -> None:
    uids = await with_incarnations(database, 1_600)
    async with repository_on(database) as repository:
        for number in (0, 800, 1_599):
            for time, lives in ((10 * number + 4, True), (10 * number + 6, False)):
                for point in (AtCommitTime(commit_time(time)), AtEventTime(commit_time(time))):
                    past = await repository.read_as_of(KEY, point)
                    assert (past and past.uid) == (uids[number] if lives else None)
        newest = await repository.read_as_of(KEY, AtVersion(1))
        assert newest is not None
        assert newest.uid == uids[-1]
        # Behind a deletion nothing has to be gone through.
        steps.rows.clear()
        assert await repository.read_as_of(KEY, AtEventTime(LATEST)) is None
        assert len(steps.rows) < 10
    steps.require_bounded()


async def test_more_incarnations_than_a_read_may_look_for_are_refused_by_name(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = replace(Limits(), past_incarnations=50)
    monkeypatch.setattr("repository.postgres.DEFAULT_LIMITS", limits)
    monkeypatch.setattr(incarnations, "PAGE_INCARNATIONS", 20)
    uids = await with_incarnations(database, 51)
    async with repository_on(database) as repository:
        for point in (AtVersion(1), AtCommitTime(LATEST), AtEventTime(LATEST)):
            with pytest.raises(LimitExceeded) as refused:
                await repository.read_as_of(KEY, point)
            assert refused.value.subject == "incarnations of an entity in a read"
            assert refused.value.limit == 50
        query = HistoryQuery(KEY, 10, PAGE)
        with pytest.raises(LimitExceeded):
            await repository.list_changes(query)
        # There is a way to each of them.
        assert await past_features(repository, KEY, AtVersion(1, uids[3])) == {"n": 1}
        page = await repository.list_changes(query._replace(uid=uids[3]))
        assert len(page.changes) == 2
        # And to the one that exists.
        made = await repository.update(update(add("n", 7), key=KEY))
        for point in (AtVersion(1), AtCommitTime(made.update_time), AtEventTime(LATEST)):
            assert await past_features(repository, KEY, point) == {"n": 7}
        page = await repository.list_changes(query._replace(uid=made.uid))
        assert len(page.changes) == 1


async def test_changes_of_all_incarnations_count_towards_the_limit_of_one_read(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = replace(Limits(), past_changes=40)
    monkeypatch.setattr("repository.postgres.DEFAULT_LIMITS", limits)
    await with_incarnations(database, 21)
    async with repository_on(database) as repository:
        with pytest.raises(LimitExceeded) as refused:
            await repository.read_as_of(KEY, AtEventTime(commit_time(-1)))
        assert (refused.value.subject, refused.value.limit) == ("changes in a read", 40)
        past = await past_features(repository, KEY, AtEventTime(commit_time(10)))
        assert past == {"n": 1}


async def test_the_incarnation_that_exists_is_the_newest_whatever_the_clock_once_said(
    database: str,
) -> None:
    """An earlier one was written while the clock was ahead."""
    async with repository_on(database) as repository, session_on(database) as session:
        first = await repository.update(update(add("n", 1), key=KEY))
        await repository.delete(Deletion(key=KEY))
        await session.execute("UPDATE changes SET commit_time = commit_time + interval '1 hour'")
        made = await repository.update(update(add("n", 5), key=KEY))
        for point in (AtVersion(1), AtCommitTime(made.update_time), AtCommitTime(LATEST)):
            assert await past_features(repository, KEY, point) == {"n": 5}
        for newest_first in (True, False):
            query = HistoryQuery(KEY, 1, PAGE, newest_first=newest_first)
            uids: list[str] = []
            while True:
                page = await repository.list_changes(query)
                uids += [AggregateChange.FromString(change).uid for change in page.changes]
                if page.end is None:
                    break
                query = query._replace(after=page.end)
            expected = [str(first.uid)] * 2 + [str(made.uid)]
            assert uids == (expected[::-1] if newest_first else expected)


async def test_what_an_incarnation_got_before_the_next_one_began_is_not_skipped(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its deletion comes when the last of its changes was read, and the next one begins."""
    look = Incarnations.all

    async with repository_on(database) as repository:
        first = await repository.update(update(add("n", 1), key=KEY))
        await repository.update(update(add("n", 1), key=KEY))
        query = HistoryQuery(KEY, 1, PAGE, newest_first=False)
        page = await repository.list_changes(query)

        async def late_look(self: Incarnations, key: EntityKey) -> Any:
            monkeypatch.setattr(Incarnations, "all", look)
            await repository.update(update(put("n", 9, 1), key=KEY))
            await repository.delete(Deletion(key=KEY))
            await repository.update(update(add("n", 5), key=KEY))
            return await look(self, key)

        monkeypatch.setattr(Incarnations, "all", late_look)
        rest = await repository.list_changes(query._replace(limit=100, after=page.end))
    changes = [AggregateChange.FromString(change) for change in rest.changes]
    assert [(each.version, each.deleted) for each in changes] == [
        (2, False),
        (2, False),
        (3, True),
        (1, False),
    ]
    assert [each.uid == str(first.uid) for each in changes] == [True] * 3 + [False]


async def test_what_is_deleted_between_two_pages_is_read_all_the_same(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unlike what is erased."""
    async with repository_on(database) as repository:
        for number in range(4):
            await repository.update(update(put(f"f{number}", "x" * 200_000, number), key=KEY))
        pages: list[int] = []
        read = ReadCommittedPool.read

        async def noted(pool: ReadCommittedPool, sql: Query, *arguments: object) -> list[Record]:
            found = await read(pool, sql, *arguments)
            if found and "more" in found[0].keys():  # noqa: SIM118
                pages.append(len(found))
                if len(pages) == 2:
                    await repository.delete(Deletion(key=KEY))
            return found

        monkeypatch.setattr(ReadCommittedPool, "read", noted)
        past = await past_features(repository, KEY, AtEventTime(10))
    assert past is not None
    assert len(past) == 4
    assert pages[:2] == [1, 1]


async def test_what_retention_dropped_is_no_past_and_the_list_says_where_it_begins(
    database: str,
) -> None:
    async with session_on(database) as session, repository_on(database) as repository:
        await record_two_months(session)
        for versions, begin in ((130, "2001-02-01"), (70, "2001-03-01")):
            query = HistoryQuery(KEY, 1_000, PAGE, newest_first=False)
            page = await repository.list_changes(query)
            changes = [AggregateChange.FromString(change) for change in page.changes]
            assert [each.version for each in changes] == list(range(131 - versions, 131))
            assert to_datetime(page.history_begin).strftime("%Y-%m-%d") == begin
            oldest = 131 - versions
            # A version is folded from the keyframe before it, and there may be none left.
            first = 1 if oldest == 1 else 64 * (oldest // 64 + 1)
            assert await past_features(repository, KEY, AtVersion(first)) == {"n": first}
            assert await past_features(repository, KEY, AtVersion(oldest - 1)) is None
            await session.execute("DROP TABLE IF EXISTS changes_20010201")


async def record_two_months(session: Session) -> None:
    """An aggregate of 130 versions, 60 of them of one month and the others of the next."""
    uid = uuid4()
    for month in ("2001-02-03", "2001-03-03"):
        await session.execute(f"SELECT make_partition('changes', 'month', '{month}')")
    await record(session, [change_row(uid, number, number) for number in range(1, 131)])
    for versions, time in (("<= 60", "2001-02-03"), ("> 60", "2001-03-03")):
        await session.execute(
            f"UPDATE changes SET commit_time = timestamptz '{time}'"
            f" + version * interval '1 microsecond' WHERE version {versions}"
        )
