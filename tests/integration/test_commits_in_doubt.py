"""A commit in doubt is decided although nobody waits for it any more."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from domain.entity_key import EntityKey
from domain.errors import DatabaseUnavailable
from domain.outcome import UpdateOutcome
from domain.update import UpdateBatch
from repository.postgres import PostgresOptions
from repository.sessions.facts import Backend
from repository.statements import DURABILITY
from tests.kit.fault_injection import Session, repository_on
from tests.kit.proxy import Way, proxied
from tests.kit.reading import current_features
from tests.kit.samples import put, update
from tests.kit.waiting import eventually

OPTIONS = PostgresOptions(lanes=1, statement_timeout=0.3)


async def test_a_commit_that_nobody_waits_for_any_more_does_not_arrive_late(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    warm_up = key._replace(entity_id="warm-up")
    async with proxied(shared_database) as proxy, repository_on(proxy.dsn, OPTIONS) as repository:
        await repository.update(update(put("f", 1), key=warm_up))
        async with proxy.blackhole(Way.TO_DATABASE, new_too=False, writers_only=True):
            answer = repository.submit(update(put("f", 1), key=key))
            await eventually(lambda: not repository._pipeline.waiting)
            await asyncio.sleep(0.1)
            answer.cancel()
            await eventually(lambda: repository.statistics.batches == 2)
            # Others go on meanwhile.
            await repository.update(update(put("f", 2), key=warm_up))
            await asyncio.sleep(0.5)
        await eventually(lambda: not proxy.has_abandoned)
        assert await repository.read([key]) == [None]
        assert await current_features(repository, warm_up) == {"f": 2}
    changes = "SELECT count(*) FROM changes WHERE entity_type = $1 AND entity_id = $2"
    assert await session.fetchval(changes, *key) == 0


async def test_a_repository_that_is_closed_decides_what_is_in_doubt(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    async with proxied(shared_database) as proxy, AsyncExitStack() as cut_off:
        async with repository_on(proxy.dsn, OPTIONS) as repository:
            await repository.update(update(put("f", 1), key=key._replace(entity_id="warm-up")))
            await cut_off.enter_async_context(
                proxy.blackhole(Way.TO_DATABASE, new_too=False, writers_only=True)
            )
            answer = repository.submit(update(put("f", 1), key=key))
            await eventually(lambda: not repository._pipeline.waiting)
            await asyncio.sleep(0.1)
            answer.cancel()
        await cut_off.aclose()
        await asyncio.sleep(0.3)  # what is late arrives
        await eventually(lambda: not proxy.has_abandoned)
    changes = "SELECT count(*) FROM changes WHERE entity_type = $1 AND entity_id = $2"
    assert await session.fetchval(changes, *key) == 0


async def test_a_backend_that_does_not_end_holds_up_its_own_keys_and_no_others(
    shared_database: str, key: EntityKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = "SELECT true WHERE $1::int > 0 AND $2::timestamptz < now()"
    other, both = key._replace(entity_id="other"), key._replace(entity_id="both")
    async with repository_on(shared_database) as repository:
        monkeypatch.setitem(DURABILITY, "waits_for_standby", waits)
        repository._protocol._transactions_in_doubt.note(
            Backend(1, datetime.now(UTC) - timedelta(1)), [key]
        )
        together = UpdateBatch(updates=tuple(update(put("f", 1), key=each) for each in (both, key)))
        answers = await asyncio.gather(
            repository.update(update(put("f", 1), key=other)),
            repository.update(update(put("f", 2), key=both)),
            repository.update(update(put("f", 1), key=key)),
            repository.update_batch(together),
            repository.update(update(put("f", 3), key=both)),
            return_exceptions=True,
        )
        assert [type(each) for each in answers] == [
            UpdateOutcome,
            UpdateOutcome,
            DatabaseUnavailable,
            DatabaseUnavailable,
            UpdateOutcome,
        ]
        assert await current_features(repository, both) == {"f": 3}
        monkeypatch.undo()
        assert (await repository.update(update(put("f", 1), key=key))).version == 1
