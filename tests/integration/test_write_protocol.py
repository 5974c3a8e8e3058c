"""The write protocol against what happens between its read and its write."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from domain.entity_key import EntityKey
from domain.errors import Contended, Corrupted, DatabaseUnavailable, StaleEtag
from domain.update import Command, Deletion, Update, UpdateBatch
from repository.postgres import PostgresOptions, PostgresRepository
from repository.writing import transaction
from tests.kit.fault_injection import (
    Session,
    meddled_repository_on,
    repository_on,
    session_on,
    touch,
)
from tests.kit.reading import current, current_features
from tests.kit.samples import add, put, remove, update
from tests.kit.waiting import eventually


async def test_when_xmin_alone_moved_it_is_evaluated_again_and_nobody_is_refused(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    async with meddled_repository_on(shared_database) as (repository, pool):
        read = await repository.update(update(put("f", 1), key=key))
        pool.before.append(lambda: touch(session, key))
        writes = pool.writes
        outcome = await repository.update(update(add("f", 1), key=key, etag=read.etag))
        assert outcome.version == 2
        assert pool.writes == writes + 2
        assert repository.statistics.undecided == 1
        assert await current_features(repository, key) == {"f": 2}


async def test_when_the_version_moved_it_is_evaluated_again(
    shared_database: str, key: EntityKey
) -> None:
    async with (
        repository_on(shared_database) as other,
        meddled_repository_on(shared_database) as (repository, pool),
    ):
        await repository.update(update(put("f", 1), key=key))
        pool.before.append(lambda: other.update(update(add("f", 10), key=key)))
        outcome = await repository.update(update(add("f", 100), key=key))
        assert outcome.version == 3
        assert await current_features(repository, key) == {"f": 111}


async def test_an_etag_that_became_stale_in_between_is_refused_and_not_retried(
    shared_database: str, key: EntityKey
) -> None:
    async with (
        repository_on(shared_database) as other,
        meddled_repository_on(shared_database) as (repository, pool),
    ):
        read = await repository.update(update(put("f", 1), key=key))
        pool.before.append(lambda: other.update(update(put("f", 2), key=key)))
        with pytest.raises(StaleEtag) as stale:
            await repository.update(update(put("f", 3), key=key, etag=read.etag))
        assert stale.value.current_version == 2
        assert await current_features(repository, key) == {"f": 2}


async def test_of_two_that_make_one_aggregate_the_second_adds_to_the_first(
    shared_database: str, key: EntityKey
) -> None:
    async with (
        repository_on(shared_database) as other,
        meddled_repository_on(shared_database) as (repository, pool),
    ):
        pool.before.append(lambda: other.update(update(add("f", 1), key=key)))
        outcome = await repository.update(update(add("f", 10), key=key))
        assert outcome.version == 2
        assert outcome.uid == (await current(other, key)).uid
        assert await current_features(repository, key) == {"f": 11}


async def test_what_was_deleted_in_between_begins_anew(
    shared_database: str, key: EntityKey
) -> None:
    async with (
        repository_on(shared_database) as other,
        meddled_repository_on(shared_database) as (repository, pool),
    ):
        first = await repository.update(update(put("f", 1), key=key))
        pool.before.append(lambda: other.delete(Deletion(key=key)))
        outcome = await repository.update(update(add("f", 10), key=key))
        assert outcome.version == 1
        assert outcome.uid != first.uid
        assert await current_features(repository, key) == {"f": 10}


async def test_of_two_that_take_one_request_only_one_applies_it(
    shared_database: str, key: EntityKey
) -> None:
    asked = update(add("f", 1), key=key, request_id=uuid4(), fingerprint=b"1")
    async with (
        repository_on(shared_database) as other,
        meddled_repository_on(shared_database) as (repository, pool),
    ):
        await repository.update(update(put("f", 0), key=key))
        pool.before.append(lambda: other.update(asked))
        outcome = await repository.update(asked)
        assert outcome.replayed
        assert await current_features(repository, key) == {"f": 1}


async def test_a_neighbour_that_loses_its_race_does_not_hold_up_the_batch(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    neighbour = key._replace(entity_id="c-2")
    async with meddled_repository_on(shared_database) as (repository, pool):
        await asyncio.gather(
            *(repository.update(update(put("f", 1), key=each)) for each in (key, neighbour))
        )
        pool.before.append(lambda: touch(session, key))
        undecided = repository.statistics.undecided
        await asyncio.gather(
            *(repository.update(update(add("f", 1), key=each)) for each in (key, neighbour))
        )
        assert repository.statistics.undecided == undecided + 1
        assert await current_features(repository, key) == {"f": 2}
        assert await current_features(repository, neighbour) == {"f": 2}


async def test_a_row_that_somebody_holds_is_waited_for_until_the_deadline(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    async with repository_on(shared_database) as repository:
        await repository.update(update(put("f", 1), key=key))
        holding = session.transaction()
        await holding.start()
        await session.execute("SELECT FROM aggregates WHERE entity_type = $1 FOR UPDATE", key[0])
        deadline = asyncio.get_running_loop().time() + 1
        with pytest.raises(Contended):
            await repository.update(update(add("f", 1), key=key), deadline)
        waiting = asyncio.create_task(repository.update(update(add("f", 1), key=key)))
        await asyncio.sleep(0.05)
        await holding.rollback()
        assert (await waiting).version == 2


async def test_a_state_that_cannot_be_read_fails_its_own_updates_and_no_others(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    sound = key._replace(entity_id="c-2")
    async with repository_on(shared_database) as repository:
        await repository.update(update(put("f", 1), key=key))
        await session.execute(
            "UPDATE aggregates SET state = '\\xff' WHERE entity_type = $1", key.entity_type
        )
        answers = await asyncio.gather(
            repository.update(update(put("f", 2), key=key)),
            repository.update(update(put("f", 2), key=sound)),
            return_exceptions=True,
        )
        assert isinstance(answers[0], Corrupted)
        assert await current_features(repository, sound) == {"f": 2}


async def test_a_raised_epoch_makes_every_etag_stale(database: str, key: EntityKey) -> None:
    async with repository_on(database) as repository, session_on(database) as session:
        read = await repository.update(update(put("f", 1), key=key))
        await session.execute("UPDATE store_epoch SET epoch = epoch + 1")
        with pytest.raises(StaleEtag):
            await repository.update(update(put("f", 2), key=key, etag=read.etag))
        outcome = await repository.update(update(put("f", 2), key=key))
        assert outcome.epoch == read.epoch + 1
        assert (await current(repository, key)).etag == outcome.etag


async def many_updates(repository: PostgresRepository, keys: list[EntityKey], seed: int) -> None:
    """Updates of all keys, in an order of their own, a few waves of them."""
    for wave in range(10):
        shuffled = sorted(keys, key=lambda key: hash((key, seed, wave)))
        updates: list[Update] = [update(add("f", 1), key=key) for key in shuffled]
        await asyncio.gather(*map(repository.update, updates))


async def test_servers_that_write_the_same_keys_never_deadlock_and_lose_nothing(
    database: str, key: EntityKey
) -> None:
    keys = [key._replace(entity_id=f"c-{number}") for number in range(100)]
    async with repository_on(database) as one, repository_on(database) as other:
        await asyncio.gather(many_updates(one, keys, 1), many_updates(other, keys, 2))
        found = [await current_features(one, key) for key in keys]
        assert found == [{"f": 20}] * len(keys)
    async with session_on(database) as session:
        await session.execute("SELECT pg_stat_clear_snapshot()")
        assert not await session.fetchval(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )


async def test_a_batch_does_not_rest_on_an_etag_that_became_stale_where_it_changes_nothing(
    shared_database: str, key: EntityKey
) -> None:
    guarded = key._replace(entity_id="c-2")
    async with (
        repository_on(shared_database) as other,
        meddled_repository_on(shared_database) as (repository, pool),
    ):
        await repository.update(update(put("f", 1), key=key))
        read = await repository.update(update(put("f", 1, 20), key=guarded))
        pool.before.append(lambda: other.update(update(put("f", 2, 30), key=guarded)))
        late = update(put("f", 3, 10), key=guarded, etag=read.etag)
        with pytest.raises(StaleEtag):
            await repository.update_batch(UpdateBatch(updates=(update(add("f", 1), key=key), late)))
        assert await current_features(repository, key) == {"f": 1}


async def test_a_batch_that_leaves_an_aggregate_as_it_was_tells_of_it_as_it_is(
    shared_database: str, key: EntityKey
) -> None:
    left = key._replace(entity_id="c-2")
    both = UpdateBatch(updates=(update(add("f", 1), key=key), update(remove("none"), key=left)))
    async with (
        repository_on(shared_database) as other,
        meddled_repository_on(shared_database) as (repository, pool),
    ):
        await repository.update(update(put("f", 1), key=key))
        await repository.update(update(put("f", 1), key=left))
        pool.before.append(lambda: other.update(update(put("f", 2), key=left)))
        assert [each.version for each in (await repository.update_batch(both)).outcomes] == [2, 2]
        pool.before.append(lambda: other.delete(Deletion(key=left)))
        assert [each.version for each in (await repository.update_batch(both)).outcomes] == [3, 0]
        pool.before.append(lambda: other.update(update(put("f", 2), key=left)))
        assert [each.version for each in (await repository.update_batch(both)).outcomes] == [4, 1]
        assert await current_features(repository, key) == {"f": 4}


async def test_what_changes_nothing_at_all_writes_nothing(
    shared_database: str, key: EntityKey
) -> None:
    async with meddled_repository_on(shared_database) as (repository, pool):
        await repository.update(update(put("f", 1), key=key))
        writes = pool.writes
        absent = key._replace(entity_id="c-2")
        nothing = [update(remove("none"), key=each) for each in (key, absent)]
        await asyncio.gather(*map(repository.update, nothing))
        await repository.update_batch(UpdateBatch(updates=tuple(nothing)))
        assert pool.writes == writes


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


async def test_a_type_whose_row_was_lost_in_a_failover_is_written_again(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    """A standby that did not have all commits has taken over."""
    async with repository_on(shared_database) as repository:
        await repository.update(update(put("f", 1), key=key))
        done = await session.execute("DELETE FROM entity_types WHERE name = $1", key.entity_type)
        assert done == "DELETE 1"
        latest = asyncio.get_running_loop().time() + 60
        assert (await repository.update(update(add("f", 1), key=key), latest)).version == 2
        assert repository.statistics.undecided == 0
