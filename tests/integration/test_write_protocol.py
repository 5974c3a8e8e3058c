"""The write protocol against what happens between its read and its write."""

import asyncio
from uuid import uuid4

import pytest

from domain.entity_key import EntityKey
from domain.errors import Contended, Corrupted, StaleEtag
from domain.update import Deletion, Update, UpdateBatch
from repository.postgres import PostgresRepository
from tests.kit.fault_injection import (
    Session,
    meddled_repository_on,
    repository_on,
    session_on,
    touch,
)
from tests.kit.reading import current, current_features
from tests.kit.samples import add, put, remove, update


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
