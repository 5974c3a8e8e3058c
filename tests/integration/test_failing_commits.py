"""Commits that fail: nothing false is ever acknowledged."""

import asyncio
from typing import Any

import pytest

from domain.entity_key import EntityKey
from domain.errors import Corrupted, DatabaseUnavailable
from repository.postgres import PostgresOptions
from repository.writing.contention import ContentionLocks
from tests.integration.failing_commits import CHANGES, error, failing_commits
from tests.kit.fault_injection import Session, repository_on
from tests.kit.reading import current_features, list_all
from tests.kit.samples import add, put, update


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03", "23505"])
async def test_a_transaction_that_lost_at_commit_is_run_again(
    shared_database: str, session: Session, key: EntityKey, sqlstate: str
) -> None:
    async with (
        failing_commits(session, key, error(sqlstate), times=3),
        repository_on(shared_database) as repository,
    ):
        outcome = await repository.update(update(add("f", 1), key=key))
        assert outcome.version == 1
        assert await session.fetchval(f"SELECT last_value FROM {key[0]}_commits") == 4
        assert await session.fetchval(CHANGES, key[0]) == 1
        assert await current_features(repository, key) == {"f": 1}


@pytest.mark.parametrize(("times", "contention"), [(0, 0), (1, 0), (2, 1)])
async def test_a_turn_is_taken_after_the_second_abort_and_not_after_the_first(
    shared_database: str,
    session: Session,
    key: EntityKey,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
    contention: int,
) -> None:
    """SERIALIZABLE also aborts where nobody else writes the entity."""
    taken: list[object] = []
    take = ContentionLocks.take

    async def noted(self: ContentionLocks, keys: Any, work: Any) -> Any:
        taken.append(keys)
        return await take(self, keys, work)

    monkeypatch.setattr(ContentionLocks, "take", noted)
    async with (
        failing_commits(session, key, error("40001"), times=times),
        repository_on(shared_database) as repository,
    ):
        await repository.update(update(add("f", 1), key=key))
        assert len(taken) == contention
        await repository.update(update(add("f", 1), key=key))
        assert len(taken) == 2 * contention


@pytest.mark.parametrize("sqlstate", ["P0001", "23514", "XX000"])
async def test_an_error_at_commit_is_never_acknowledged(
    shared_database: str, session: Session, key: EntityKey, sqlstate: str
) -> None:
    async with (
        failing_commits(session, key, error(sqlstate), times=1),
        repository_on(shared_database) as repository,
    ):
        with pytest.raises(Corrupted):
            await repository.update(update(add("f", 1), key=key))
        assert await repository.read([key]) == [None]
        assert await session.fetchval(CHANGES, key[0]) == 0
        assert (await repository.update(update(add("f", 1), key=key))).version == 1


async def test_an_error_at_commit_fails_only_the_command_that_is_to_blame(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    keys = [key._replace(entity_id=f"c-{number}") for number in range(10)]
    blamed = f"IF NEW.entity_id = 'c-7' THEN {error('23514')}; END IF"
    async with (
        failing_commits(session, key, blamed, times=10_000),
        repository_on(shared_database) as repository,
    ):
        answers = await asyncio.gather(
            *(repository.update(update(put("f", 1), key=each)) for each in keys),
            return_exceptions=True,
        )
        assert isinstance(answers.pop(7), Corrupted)
        assert not any(isinstance(answer, BaseException) for answer in answers)
        assert len(await list_all(repository, key[0])) == 9


@pytest.mark.parametrize("sqlstate", ["25006", "42501", "53100", "53200", "57014"])
async def test_a_refusal_is_told_at_once_and_is_no_doubt(
    shared_database: str, session: Session, key: EntityKey, sqlstate: str
) -> None:
    async with (
        failing_commits(session, key, error(sqlstate), times=1),
        repository_on(shared_database) as repository,
    ):
        with pytest.raises(DatabaseUnavailable, match=sqlstate) as refused:
            await repository.update(update(add("f", 1), key=key))
        assert refused.value.sqlstate == sqlstate
        assert await session.fetchval(f"SELECT last_value FROM {key[0]}_commits") == 1
        assert await session.fetchval(CHANGES, key[0]) == 0
        assert (await repository.update(update(add("f", 1), key=key))).version == 1


@pytest.mark.parametrize("sqlstate", ["53200", "53400", "57014"])
async def test_what_is_too_much_for_one_command_does_not_fail_its_neighbours(
    shared_database: str, session: Session, key: EntityKey, sqlstate: str
) -> None:
    keys = [key._replace(entity_id=f"c-{number}") for number in range(10)]
    blamed = f"IF NEW.entity_id = 'c-7' THEN {error(sqlstate)}; END IF"
    async with (
        failing_commits(session, key, blamed, times=10_000),
        repository_on(shared_database, PostgresOptions(lanes=1)) as repository,
    ):
        answers = await asyncio.gather(
            *(repository.update(update(put("f", 1), key=each)) for each in keys),
            return_exceptions=True,
        )
        refused = answers.pop(7)
        assert isinstance(refused, DatabaseUnavailable)
        assert refused.sqlstate == sqlstate
        assert not any(isinstance(answer, BaseException) for answer in answers)


async def test_a_refusal_of_everybody_costs_one_statement_for_each_batch(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    """A disk that is full is not for one command of a batch more than for another."""
    keys = [key._replace(entity_id=f"c-{number}") for number in range(64)]
    async with (
        failing_commits(session, key, error("53100"), times=10_000),
        repository_on(shared_database, PostgresOptions(lanes=1)) as repository,
    ):
        answers = await asyncio.gather(
            *(repository.update(update(put("f", 1), key=each)) for each in keys),
            return_exceptions=True,
        )
        assert all(isinstance(answer, DatabaseUnavailable) for answer in answers)
        failed = await session.fetchval(f"SELECT last_value FROM {key[0]}_commits")
        assert failed == repository.statistics.batches
