"""A writer that makes an entity does not notice who made and deleted it, or erased what was left
of it, since its read. It comes after them, though its transaction has the smaller number and its
change the earlier time.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

import pytest

from codec.timestamps import decode_timestamp
from domain.entity_key import EntityKey
from domain.ports import AtCommitTime, AtEventTime, AtVersion, HistoryQuery
from domain.update import Deletion, UpdateBatch
from featom.v1.aggregate_pb2 import AggregateChange
from repository.postgres import PostgresRepository
from tests.consistency.history import read_history
from tests.consistency.operations import ENTITY_TYPE
from tests.kit.fault_injection import Session, repository_on, session_on, somebody_waits_for_a_lock
from tests.kit.reading import message_of
from tests.kit.samples import put, update

KEY: Final = EntityKey(ENTITY_TYPE, "b")
BEFORE_IT: Final = EntityKey(ENTITY_TYPE, "a")
"""Is written before the other one in a batch."""


async def erase(repository: PostgresRepository) -> None:
    await repository.delete(Deletion(key=KEY, erase_history=True))


async def make_and_delete(repository: PostgresRepository) -> None:
    await repository.update(update(put("f", 2), key=KEY))
    await repository.delete(Deletion(key=KEY))


MEANWHILE: Final = [erase, make_and_delete]


@asynccontextmanager
async def held_creation(
    repository: PostgresRepository, session: Session, dsn: str
) -> AsyncIterator["asyncio.Task[object]"]:
    """A creation of the entity that has read, has a transaction number, and waits until the block
    ends for the first of its rows."""
    batch = UpdateBatch(
        updates=(update(put("f", 3), key=BEFORE_IT), update(put("f", 3, 3), key=KEY)),
        request_id=uuid4(),
        fingerprint=b"1",
    )
    async with session_on(dsn) as holder:
        held = holder.transaction()
        await held.start()
        await holder.execute(
            "INSERT INTO aggregates"
            " (entity_type, entity_id, uid, version, state, create_time, update_time)"
            " VALUES ($1, $2, gen_random_uuid(), 1, '', now(), now())",
            *BEFORE_IT,
        )
        creation = asyncio.create_task(repository.update_batch(batch))
        await somebody_waits_for_a_lock(session)
        try:
            yield creation
        finally:
            await held.rollback()
            await creation


async def listed(repository: PostgresRepository, *, newest_first: bool) -> list[AggregateChange]:
    page = await repository.list_changes(
        HistoryQuery(KEY, 100, 1_000_000, newest_first=newest_first)
    )
    return [AggregateChange.FromString(change) for change in page.changes]


@pytest.mark.parametrize("meanwhile", MEANWHILE)
async def test_who_makes_an_entity_comes_after_those_it_did_not_notice(
    database: str, meanwhile: Callable[[PostgresRepository], Awaitable[None]]
) -> None:
    async with (
        repository_on(database) as repository,
        repository_on(database) as other,
        session_on(database) as session,
    ):
        await other.update(update(put("f", 1), key=KEY))
        await other.delete(Deletion(key=KEY))
        async with held_creation(repository, session, database):
            await meanwhile(other)
        (made,) = await repository.read([KEY])
        assert made is not None
        lived = await repository.entity_types.now()
        await repository.delete(Deletion(key=KEY))

        oldest_first = await listed(repository, newest_first=False)
        assert [change.uid == str(made.uid) for change in oldest_first[-2:]] == [True, True]
        assert await listed(repository, newest_first=True) == oldest_first[::-1]
        times = [decode_timestamp(change.commit_time) for change in oldest_first]
        assert times[-2] < times[-3], "the creation was not overtaken"
        for point in (AtVersion(1), AtCommitTime(lived), AtEventTime(lived)):
            past = await repository.read_as_of(KEY, point)
            assert past is not None, point
            assert (past.uid, message_of(past).features["f"].value) == (
                made.uid,
                message_of(made).features["f"].value,
            )


@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("lives", [True, False], ids=["lives", "deleted"])
async def test_the_checker_reads_changes_in_the_order_of_their_commits(
    database: str, meanwhile: Callable[[PostgresRepository], Awaitable[None]], lives: bool
) -> None:
    async with (
        repository_on(database) as repository,
        repository_on(database) as other,
        session_on(database) as session,
    ):
        await other.update(update(put("f", 1), key=KEY))
        await other.delete(Deletion(key=KEY))
        async with held_creation(repository, session, database):
            await meanwhile(other)
        if not lives:
            await repository.delete(Deletion(key=KEY))
    entries = (await read_history(database)).entries[KEY.entity_id]
    creation = entries[-1] if lives else entries[-2]
    assert (creation.change.version, creation.change.deleted) == (1, False)
    assert entries[entries.index(creation) - 1].transaction > creation.transaction
