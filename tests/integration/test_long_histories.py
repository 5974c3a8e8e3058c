"""A read of the past costs the same memory and holds up nobody, however long the history is."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from msgspec.structs import replace

from domain.entity_key import EntityKey
from domain.errors import LimitExceeded
from domain.limits import Limits
from domain.ports import AtCommitTime, AtEventTime, AtVersion, PointInTime
from domain.timestamp import LATEST
from domain.update import Deletion
from repository.connections.isolation import ReadCommittedPool
from repository.connections.pool import Record
from repository.postgres import PostgresRepository
from repository.statements import HISTORY, Query
from tests.kit.fault_injection import Session, repository_on, session_on
from tests.kit.reading import past_features
from tests.kit.samples import add, put, update
from tests.kit.waiting import eventually

KEY: Final = EntityKey("card", "4711")
VERSIONS: Final = 130
LATE: Final = 20_000
LATE_AT: Final = 70
CONTENT: Final = "x" * 400

# The last change, which came late, as so many others that came late at another version.
COME_LATE: Final = """
INSERT INTO changes (entity_type, entity_id, uid, version, commit_time, batch_id, change)
SELECT
    c.entity_type, c.entity_id, c.uid, $2,
    c.commit_time + n * interval '1 microsecond', c.batch_id, c.change
FROM (SELECT * FROM changes ORDER BY version DESC, commit_time DESC LIMIT 1) AS c,
    generate_series(1, $1::int) AS n
"""


class Pages:
    """What statements of the past gave, and how often the event loop turned in between."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.records: list[int] = []
        self.bytes: list[int] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self._names = {HISTORY[name]: name for name in ("read_versions", "read_changes")}
        read = ReadCommittedPool.read

        async def noted(pool: ReadCommittedPool, sql: Query, *arguments: object) -> list[Record]:
            if sql not in self._names:
                return await read(pool, sql, *arguments)
            found = await read(pool, sql, *arguments)
            self.records.append(len(found))
            self.bytes.append(sum(len(record["change"]) for record in found))
            await self.hold.wait()
            return found

        monkeypatch.setattr(ReadCommittedPool, "read", noted)


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Pages:
    return Pages(monkeypatch)


@asynccontextmanager
async def long_history(
    database: str, late: int = LATE
) -> AsyncIterator[tuple[PostgresRepository, Session]]:
    """A repository with one aggregate of a long history, of which PostgreSQL has statistics."""
    async with repository_on(database) as repository, session_on(database) as session:
        for _ in range(VERSIONS):
            await repository.update(update(add("n", 1), key=KEY))
        await repository.update(update(put("n", 0, 1), put("late", CONTENT, 1), key=KEY))
        await session.execute(COME_LATE, late, LATE_AT)
        await session.execute("VACUUM ANALYZE changes")
        yield repository, session


async def test_a_version_is_read_without_what_came_late_meanwhile(
    database: str, pages: Pages
) -> None:
    async with long_history(database) as (repository, session):
        for version in (LATE_AT - 1, LATE_AT, LATE_AT + 1, VERSIONS - 1):
            past = await past_features(repository, KEY, AtVersion(version))
            assert past == {"n": version}
        time = await session.fetchval(
            "SELECT (extract(epoch FROM min(commit_time)) * 1000000)::bigint FROM changes"
            " WHERE version = $1",
            LATE_AT - 1,
        )
        past = await past_features(repository, KEY, AtCommitTime(time * 1_000))
    assert past == {"n": LATE_AT - 1}
    assert all(count <= 64 for count in pages.records)


async def test_a_history_is_read_by_event_time_in_pages_and_flat_memory(
    database: str, pages: Pages
) -> None:
    async with long_history(database) as (repository, _):
        tracemalloc.start()
        try:
            past = await past_features(repository, KEY, AtEventTime(LATEST))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert past == {"n": VERSIONS, "late": CONTENT}
    assert sum(pages.records) == VERSIONS + 1 + LATE
    assert max(pages.records) <= 500
    assert max(pages.bytes) <= 262_144
    # The changes themselves have over ten times as much.
    assert sum(pages.bytes) > 10_000_000
    assert peak < 4_000_000


async def test_a_set_that_stands_among_many_increments_has_them_read_twice(
    database: str, pages: Pages
) -> None:
    """In pages both times; where none stands among them, once is enough."""
    async with repository_on(database) as repository:
        updates = [update(add("n", 1, time), key=KEY) for time in range(1, 701)]
        await asyncio.gather(*map(repository.update, updates))
        assert await past_features(repository, KEY, AtEventTime(600)) == {"n": 600}
        assert sum(pages.records) == 700
        await repository.update(update(put("n", 5, 350), key=KEY))
        pages.records.clear()
        assert await past_features(repository, KEY, AtEventTime(600)) == {"n": 5 + 250}
        assert sum(pages.records) == 2 * 701
        assert max(pages.records) <= 500


async def test_a_page_is_one_change_if_that_is_large(database: str, pages: Pages) -> None:
    async with repository_on(database) as repository:
        for number in range(4):
            await repository.update(update(put(f"f{number}", "x" * 200_000), key=KEY))
        for point in (AtEventTime(LATEST), AtVersion(3)):
            past = await past_features(repository, KEY, point)
            assert past is not None
            assert max(map(len, past.values())) == 200_000
    assert pages.records == [1] * 7


@pytest.mark.parametrize(
    ("limits", "subject", "limit"),
    [
        ({"past_changes": 1_000}, "changes in a read", 1_000),
        ({"past_bytes": 1_000_000}, "bytes of changes in a read", 1_000_000),
        ({"answer_bytes": 300}, "bytes of aggregates in an answer", 300),
    ],
)
async def test_a_history_over_a_limit_is_refused_by_its_name(
    database: str,
    pages: Pages,
    monkeypatch: pytest.MonkeyPatch,
    limits: dict[str, Any],
    subject: str,
    limit: int,
) -> None:
    monkeypatch.setattr("repository.postgres.DEFAULT_LIMITS", replace(Limits(), **limits))
    async with long_history(database, late=10_000) as (repository, _):
        with pytest.raises(LimitExceeded) as refused:
            await repository.read_as_of(KEY, AtEventTime(LATEST))
        assert (refused.value.subject, refused.value.limit) == (subject, limit)
        assert sum(pages.records) <= 4_000
        if limit == 1_000:
            assert len(pages.records) == 1
        assert await past_features(repository, KEY, AtVersion(7)) == {"n": 7}


async def test_lists_are_answered_while_many_long_histories_are_read(
    database: str, pages: Pages
) -> None:
    async with long_history(database, late=1_000) as (repository, _):
        pages.hold.clear()
        point: PointInTime = AtEventTime(LATEST)
        readers = [asyncio.create_task(repository.read_as_of(KEY, point)) for _ in range(10)]
        await eventually(lambda: len(pages.records) == 2)
        for _ in range(10):
            listed, _more = await repository.list_aggregates("card", "", 10, 1_000)
            assert len(listed) == 1
        assert len(pages.records) == 2
        pages.hold.set()
        await asyncio.gather(*readers)


async def test_a_read_whose_caller_went_away_ends_with_its_page(
    database: str, pages: Pages
) -> None:
    async with long_history(database, late=3_000) as (repository, _):
        pages.hold.clear()
        reader = asyncio.create_task(repository.read_as_of(KEY, AtEventTime(LATEST)))
        await eventually(lambda: len(pages.records) == 1)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        pages.hold.set()
        # The same turns are used by others, behind whatever is left of it.
        assert await past_features(repository, KEY, AtVersion(7)) == {"n": 7}
    assert pages.records == [500, 7]


@pytest.mark.parametrize("time", [1, LATEST], ids=["before the erasure", "after it"])
async def test_what_is_erased_between_two_pages_is_not_half_read(
    database: str, pages: Pages, time: int
) -> None:
    """What tells of the erasure is a change of the same incarnation, on the next page."""
    async with long_history(database, late=3_000) as (repository, _):
        pages.hold.clear()
        reader = asyncio.create_task(repository.read_as_of(KEY, AtEventTime(time)))
        await eventually(lambda: len(pages.records) == 1)
        await repository.delete(Deletion(key=KEY, erase_history=True))
        pages.hold.set()
        assert await reader is None
