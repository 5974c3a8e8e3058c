"""Deletions and erasures in one batch with other commands, and beside what commits in between."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from domain.entity_key import EntityKey
from domain.errors import DatabaseUnavailable
from domain.update import Command, Deletion, UpdateBatch
from repository.postgres import PostgresOptions
from repository.writing import transaction
from tests.kit.fault_injection import (
    Session,
    meddled_repository_on,
    repository_on,
    session_on,
)
from tests.kit.reading import current_features
from tests.kit.samples import add, put, remove, update
from tests.kit.waiting import eventually


async def test_a_late_value_adds_nothing_to_a_history_that_was_erased_meanwhile(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    async with (
        repository_on(shared_database) as other,
        meddled_repository_on(shared_database) as (repository, pool),
    ):
        first = await repository.update(update(put("f", 1, 20), key=key))
        pool.before.append(lambda: other.delete(Deletion(key=key, erase_history=True)))
        outcome = await repository.update(update(put("f", 2, 10), key=key))
        assert (outcome.version, outcome.stale_features) == (1, ())
        assert outcome.uid != first.uid
        kept = "SELECT count(*) FROM changes WHERE entity_type = $1 AND uid = $2 AND version = 1"
        assert await session.fetchval(kept, key.entity_type, first.uid) == 0


async def test_a_history_is_erased_with_the_late_value_that_came_meanwhile(
    shared_database: str, session: Session, key: EntityKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_batch = transaction._write_batch
    async with (
        repository_on(shared_database) as other,
        repository_on(shared_database) as repository,
    ):
        await repository.update(update(put("f", 1, 20), key=key))

        async def write_after_a_late_value(*arguments: Any) -> Any:
            monkeypatch.undo()
            late = await other.update(update(put("f", 2, 10), key=key))
            assert late.stale_features == ("f",)
            return await write_batch(*arguments)

        monkeypatch.setattr(transaction, "_write_batch", write_after_a_late_value)
        await repository.delete(Deletion(key=key, erase_history=True))
        assert repository.statistics.undecided == 1
        kept = "SELECT version FROM changes WHERE entity_type = $1"
        assert [row[0] for row in await session.fetch(kept, key.entity_type)] == [2]


async def test_a_request_whose_aggregate_is_deleted_in_the_same_batch_is_not_applied_again(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    """Another server has read before. It finds the row that was made, as that has to be there
    before it is deleted."""
    asked = update(add("f", 1), key=key, request_id=uuid4(), fingerprint=b"1")
    tried = asyncio.Event()

    async def nothing() -> None:
        pass

    async with (
        meddled_repository_on(shared_database) as (other, its_pool),
        meddled_repository_on(shared_database) as (repository, pool),
    ):
        deleted: list[asyncio.Future[Any]] = []

        async def meanwhile() -> None:
            its_pool.before.extend([nothing, tried.wait])
            first = other.submit(asked)
            deleted.append(other.submit(Deletion(key=key)))
            assert await first

        pool.before.append(meanwhile)
        again = asyncio.ensure_future(repository.update(asked))
        await eventually(lambda: again.done() or repository.statistics.undecided > 0)
        tried.set()
        outcome = await again
        await deleted[0]
        assert (outcome.version, outcome.replayed) == (1, True)
        assert deleted[0].result().version == 2
        assert await repository.read([key]) == [None]
        applied = "SELECT count(*) FROM changes WHERE entity_type = $1 AND request_id = $2"
        assert await session.fetchval(applied, key.entity_type, asked.request_id) == 1


async def test_what_follows_on_a_deletion_keeps_its_place_behind_it(
    shared_database: str, key: EntityKey
) -> None:
    """The deletion waits for the aggregate to be there; a batch behind it for both its keys."""
    other = key._replace(entity_id="c-2")
    both = UpdateBatch(updates=(update(add("f", 10), key=key), update(add("f", 10), key=other)))
    async with repository_on(shared_database, PostgresOptions(lanes=1)) as repository:
        commands: list[Command] = [
            update(add("f", 1), key=key),
            update(add("f", 1), key=other),
            Deletion(key=key),
            both,
            update(add("f", 100), key=other),
            Deletion(key=key),
            update(add("f", 100), key=key),
        ]
        answers: list[Any] = await asyncio.gather(*map(repository.submit, commands))
        assert [each.version for each in answers[3].outcomes] == [1, 2]
        assert [answers[number].version for number in (0, 1, 2, 4, 5, 6)] == [1, 1, 2, 3, 2, 1]
        assert await current_features(repository, key) == {"f": 100}
        assert await current_features(repository, other) == {"f": 111}
        assert repository.statistics.undecided == 0
        assert repository.statistics.batches == 1


async def test_of_two_that_take_one_request_without_an_aggregate_the_second_gets_the_first_answer(
    shared_database: str, key: EntityKey
) -> None:
    """The first one finds nothing to remove; meanwhile there is something, and it is removed."""
    asked = update(remove("f"), key=key, request_id=uuid4(), fingerprint=b"1")
    async with (
        repository_on(shared_database) as other,
        meddled_repository_on(shared_database) as (repository, pool),
    ):

        async def meanwhile() -> None:
            await other.update(update(put("f", 1), put("g", 1), key=key))
            assert (await other.update(asked)).version == 2

        pool.before.append(meanwhile)
        outcome = await repository.update(asked)
        assert (outcome.version, outcome.replayed) == (2, True)


async def test_a_request_that_found_no_aggregate_is_known_and_leaves_none(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    asked = update(remove("f"), key=key, request_id=uuid4(), fingerprint=b"1")
    async with repository_on(shared_database) as repository:
        first, again = await repository.update(asked), await repository.update(asked)
        assert (first.version, first.replayed) == (0, False)
        assert (again.version, again.replayed) == (0, True)
        count = "SELECT count(*) FROM aggregates WHERE entity_type = $1"
        assert await session.fetchval(count, key.entity_type) == 0


async def test_an_erasure_that_takes_too_long_fails_none_of_those_that_came_with_it(
    database: str,
) -> None:
    keys = [EntityKey("erased", str(number)) for number in range(4)]
    options = PostgresOptions(statement_timeout=0.5)
    async with repository_on(database, options) as repository, session_on(database) as own:
        await asyncio.gather(*(repository.update(update(put("f", 1), key=key)) for key in keys))
        await own.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_sleep(1); RETURN OLD; END';"
            "CREATE TRIGGER dawdle BEFORE DELETE ON changes FOR EACH ROW EXECUTE FUNCTION dawdle()"
        )
        latest = asyncio.get_running_loop().time() + 10
        erased = repository.submit(Deletion(key=keys[0], erase_history=True), latest)
        beside = (repository.update(update(add("f", 1), key=key), latest) for key in keys[1:])
        assert [outcome.version for outcome in await asyncio.gather(*beside)] == [2, 2, 2]
        with pytest.raises(DatabaseUnavailable) as slow:
            await erased
        assert slow.value.sqlstate == "57014"
        assert await current_features(repository, keys[0]) == {"f": 1}
