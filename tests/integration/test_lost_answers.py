"""Commits whose answer was lost: they are looked up, and never applied twice."""

import asyncio
import time
from uuid import uuid4

import pytest

from domain.entity_key import EntityKey
from domain.errors import CommitUnknown
from domain.update import Deletion, UpdateBatch
from repository.postgres import PostgresOptions, PostgresRepository
from tests.integration.failing_commits import CHANGES, failing_commits
from tests.kit.fault_injection import (
    Session,
    meddled_repository_on,
    repository_on,
    session_on,
    somebody_waits_for_a_lock,
)
from tests.kit.reading import current_features
from tests.kit.samples import add, put, remove, update
from tests.kit.waiting import eventually_found

ENDED = "PERFORM pg_terminate_backend(pg_backend_pid())"


async def test_a_connection_that_breaks_before_the_commit_is_looked_up_and_tried_again(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    async with (
        failing_commits(session, key, ENDED, times=2),
        repository_on(shared_database) as repository,
    ):
        outcome = await repository.update(update(add("f", 1), key=key))
        assert (outcome.version, outcome.replayed) == (1, False)
        assert await session.fetchval(CHANGES, key[0]) == 1
        assert await current_features(repository, key) == {"f": 1}


async def test_a_commit_that_stays_unknown_until_the_deadline_is_said_to_be_unknown(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    async with (
        failing_commits(session, key, ENDED, times=10_000),
        repository_on(shared_database) as repository,
    ):
        deadline = asyncio.get_running_loop().time() + 2
        with pytest.raises(CommitUnknown):
            await repository.update(update(add("f", 1), key=key), deadline)
        assert await repository.read([key]) == [None]


async def test_a_commit_whose_answer_was_lost_is_found_and_not_repeated(
    shared_database: str, key: EntityKey
) -> None:
    async with meddled_repository_on(shared_database) as (repository, pool):
        pool.lost_answers = 1
        made = await repository.update(update(add("f", 1), put("late", 1, 20), key=key))
        pool.lost_answers = 1
        changed = await repository.update(update(add("f", 1), put("late", 2, 10), key=key))
        assert (made.version, made.replayed) == (1, False)
        assert (changed.version, changed.stale_features) == (2, ("late",))
        assert await current_features(repository, key) == {"f": 2, "late": 1}


async def test_each_command_of_a_batch_whose_answer_was_lost_gets_its_first_answer(
    shared_database: str, key: EntityKey
) -> None:
    async with meddled_repository_on(shared_database) as (repository, pool):
        await repository.update(update(put("text", "x"), key=key))
        pool.lost_answers = 1
        answers = await asyncio.gather(
            *(repository.update(update(add("f", 1), key=key)) for _ in range(5)),
            repository.update(update(add("text", 1), key=key)),
            repository.update(update(add("f", 1), key=key)),
            return_exceptions=True,
        )
        versions = [getattr(answer, "version", None) for answer in answers]
        assert versions == [2, 3, 4, 5, 6, None, 7]
        assert await current_features(repository, key) == {"text": "x", "f": 6}


@pytest.mark.parametrize("erase_history", [False, True])
async def test_a_deletion_whose_answer_was_lost_is_found_and_not_repeated(
    shared_database: str, key: EntityKey, erase_history: bool
) -> None:
    async with meddled_repository_on(shared_database) as (repository, pool):
        await repository.update(update(put("f", 1), key=key))
        pool.lost_answers = 1
        outcome = await repository.delete(Deletion(key=key, erase_history=erase_history))
        assert (outcome.version, outcome.replayed) == (2, False)
        assert await repository.read([key]) == [None]


async def test_a_batch_across_entities_whose_answer_was_lost_is_found_and_not_repeated(
    shared_database: str, key: EntityKey
) -> None:
    keys = [key, key._replace(entity_id="c-2")]
    async with meddled_repository_on(shared_database) as (repository, pool):
        pool.lost_answers = 1
        outcome = await repository.update_batch(
            UpdateBatch(updates=tuple(update(add("f", 1), key=each) for each in keys))
        )
        assert [each.version for each in outcome.outcomes] == [1, 1]
        assert [await current_features(repository, each) for each in keys] == [{"f": 1}] * 2


async def test_a_request_that_changed_nothing_and_whose_answer_was_lost_is_known(
    shared_database: str, key: EntityKey
) -> None:
    asked = update(remove("none"), key=key, request_id=uuid4(), fingerprint=b"1")
    async with meddled_repository_on(shared_database) as (repository, pool):
        await repository.update(update(put("f", 1), key=key))
        pool.lost_answers = 1
        assert (await repository.update(asked)).version == 1
        assert (await repository.update(asked)).replayed


async def test_connections_that_broke_while_they_were_idle_are_replaced(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    async with repository_on(shared_database) as repository:
        await repository.update(update(add("f", 1), key=key))
        await repository.read([key])
        ended = await session.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name LIKE 'featom, build %' AND datname = current_database()"
        )
        assert ended >= 2
        assert await current_features(repository, key) == {"f": 1}
        assert (await repository.update(update(add("f", 1), key=key))).version == 2


async def test_a_closed_repository_leaves_no_connection(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    for _ in range(5):
        async with repository_on(shared_database) as repository:
            await repository.update(update(add("f", 1), key=key))
            await repository.read([key])
    await eventually_found(
        session,
        "SELECT FROM (SELECT count(*) AS remaining FROM pg_stat_activity"
        " WHERE application_name LIKE 'featom, build %' AND datname = current_database()) AS found"
        " WHERE found.remaining = 0",
    )


async def test_a_batch_that_does_not_end_is_cut_off_when_the_repository_closes(
    database: str, key: EntityKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repository.postgres._DRAINING", 0.2)
    monkeypatch.setattr("repository.connections.pool.CLOSING", 0.2)
    repository = PostgresRepository(database, PostgresOptions(statement_timeout=100.0))
    await repository.open()
    # So that the statement is known, and sent at once.
    await repository.update(update(add("f", 1), key=EntityKey(key.entity_type, "other")))
    async with session_on(database) as other, session_on(database) as holder, holder.transaction():
        # Writers wait for it and readers do not: the write is sent.
        await holder.execute("LOCK TABLE aggregates IN EXCLUSIVE MODE")
        answer = asyncio.ensure_future(repository.update(update(add("f", 1), key=key)))
        await somebody_waits_for_a_lock(other)
        answer.cancel()
        begun = time.monotonic()
        await repository.close()
        assert time.monotonic() - begun < 60
    await asyncio.sleep(0.5)  # for what is still under way in the database, if anything is
    async with repository_on(database) as again:
        assert await again.read([key]) == [None]
