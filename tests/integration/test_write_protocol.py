"""The write protocol against what happens between its read and its write."""

import asyncio
from uuid import uuid4

import pytest

from domain.entity_key import EntityKey
from domain.errors import Contended, Corrupted, StaleEtag
from domain.update import Deletion, Update
from repository.postgres import PostgresRepository
from tests.conformance.reading import current, current_features
from tests.integration.meddling import (
    Session,
    meddled_repository_on,
    repository_on,
    session_on,
    touch,
)
from tests.samples import add, put, update


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
        deadline = asyncio.get_running_loop().time() + 0.2
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
