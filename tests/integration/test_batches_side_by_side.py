"""Batches that share all their entities, or none, written at the same time by two servers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import grpc
import pytest

from domain.entity_key import EntityKey
from domain.update import Deletion, Update, UpdateBatch
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey as KeyMessage
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue
from repository.connections.isolation import SerializablePool
from repository.connections.pool import Connection, Result
from repository.postgres import PostgresRepository
from repository.statements import WRITE
from tests.kit.fault_injection import (
    Session,
    meddled_repository_on,
    repository_on,
    session_on,
)
from tests.kit.samples import put, update
from tests.kit.serving import serving
from tests.kit.waiting import eventually_found

ROUNDS: Final = 20
SIZE: Final = 200
PATIENCE: Final = 60.0

_PREDICATE_LOCKS: Final = """
SELECT DISTINCT c.relname::text FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
WHERE l.mode = 'SIReadLock' AND l.database = (
    SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()
)
"""

# Not just any wait for a lock: for a moment, one waits also where a table grows.
_WAITS_FOR_US: Final = """
SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))
"""
_WAITS_FOR_ONE_THAT_WAITS_FOR_US: Final = """
SELECT FROM pg_stat_activity AS a, unnest(pg_blocking_pids(a.pid)) AS b(pid)
WHERE pg_backend_pid() = ANY (pg_blocking_pids(b.pid))
"""


@pytest.fixture
async def two_stores(database: str) -> AsyncIterator[Sequence[Any]]:
    """Clients of two servers."""
    async with AsyncExitStack() as stack:
        stores = []
        for _ in range(2):
            server = stack.enter_context(serving(database))
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(server.address))
            stores.append(FeatureStoreServiceStub(channel))
        yield stores


async def test_batches_that_name_the_same_entities_in_opposite_order_never_deadlock(
    database: str, two_stores: Sequence[Any]
) -> None:
    for number in range(ROUNDS):
        names = [f"{number:03}-{place:03}" for place in range(SIZE)]
        # At first they make the entities, then they change them.
        for version in (2, 4):
            answers = await asyncio.gather(
                *(
                    store.BatchUpdateFeatures(counting(order), timeout=PATIENCE)
                    for store, order in zip(two_stores, (names, names[::-1]), strict=True)
                )
            )
            assert {each.version for answer in answers for each in answer.responses} == {
                version - 1,
                version,
            }
    assert await deadlocks_in(database) == 0


@pytest.mark.parametrize("makes_both", [False, True])
async def test_batches_that_leave_entities_absent_never_deadlock_with_those_that_make_them(
    database: str, two_stores: Sequence[Any], makes_both: bool
) -> None:
    one, other = two_stores
    for number in range(ROUNDS):
        a, b = f"{number:03}-a", f"{number:03}-b"
        there = [making(b), making(a) if makes_both else leaving(a)]
        await asyncio.gather(
            one.BatchUpdateFeatures(
                pb.BatchUpdateFeaturesRequest(updates=[making(a), leaving(b)]), timeout=PATIENCE
            ),
            other.BatchUpdateFeatures(
                pb.BatchUpdateFeaturesRequest(updates=there), timeout=PATIENCE
            ),
        )
    assert await deadlocks_in(database) == 0


async def test_a_batch_that_makes_what_another_deletes_never_deadlocks_with_it(
    database: str,
) -> None:
    """One waits for a row that the other is deleting, and the other for one that it is making."""
    a, b, c = (EntityKey("deleted", name) for name in "abc")
    making_all = UpdateBatch(updates=tuple(update(put("f", 1), key=each) for each in (a, b, c)))
    async with (
        repository_on(database) as one,
        meddled_repository_on(database) as (other, pool),
        session_on(database) as session,
    ):
        # The other has read that there is no `c`; between `a` and `b` it is held up.
        pool.before.append(lambda: one.update(update(put("f", 1), key=c)))
        async with session.transaction():
            await session.execute(
                "INSERT INTO aggregates VALUES ($1, $2, gen_random_uuid(), 1, '', now(), now())", *b
            )
            made = asyncio.create_task(other.update_batch(making_all))
            await eventually_found(session, _WAITS_FOR_US)
            answers = [one.submit(Deletion(key=c)), one.submit(update(put("f", 1), key=a))]
            await eventually_found(session, _WAITS_FOR_ONE_THAT_WAITS_FOR_US)
            await session.execute("DELETE FROM aggregates WHERE entity_id = 'b'")
        await asyncio.gather(made, *answers)
    assert await deadlocks_in(database) == 0


class HeldPool(SerializablePool):
    """Does not commit what it has written before a test says so."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn, size=2, statement_timeout=PATIENCE)
        self.written = asyncio.Event()
        self.commits = asyncio.Event()

    async def run(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        async def held(connection: Connection) -> Result:
            async with connection.transaction(isolation="serializable"):
                result = await work(connection)
                self.written.set()
                await self.commits.wait()
            return result

        return await super().run(held)


@asynccontextmanager
async def held_repository_on(dsn: str) -> AsyncIterator[tuple[PostgresRepository, HeldPool]]:
    repository, pool = PostgresRepository(dsn), HeldPool(dsn)
    repository._writing = pool
    await repository.open()
    try:
        yield repository, pool
    finally:
        pool.commits.set()
        await repository.close()


async def test_request_ids_of_strangers_lock_nothing_and_both_commit(
    database: str, shared_names: Sequence[Sequence[EntityKey]]
) -> None:
    locked, undecided = await written_side_by_side(database, shared_names)
    assert not [name for name in locked if name.startswith("requests")], locked
    assert undecided == [0, 0]


async def test_request_ids_that_were_looked_for_in_the_transaction_would_lock_what_strangers_write(
    database: str,
    shared_names: Sequence[Sequence[EntityKey]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So the test before this one would see it."""
    asked = "    WHERE q.unit NOT IN (SELECT l.unit FROM lost AS l)\n"
    looked_for = (
        "        AND NOT EXISTS (SELECT FROM requests AS r WHERE r.entity_type = q.entity_type"
        " AND r.entity_id = q.entity_id AND r.request_id = q.request_id)\n"
    )
    assert asked in WRITE["write_batch"]
    wrong = WRITE["write_batch"].replace(asked, asked + looked_for)
    monkeypatch.setitem(WRITE, "write_batch", wrong)
    locked, _ = await written_side_by_side(database, shared_names)
    assert [name for name in locked if name.startswith("requests")]


@pytest.fixture
async def shared_names(database: str) -> Sequence[Sequence[EntityKey]]:
    """The entities of two strangers: two each that are there, side by side in every index."""
    names = [[EntityKey("stranger", f"{n}-{who}") for n in range(2)] for who in range(2)]
    async with repository_on(database) as repository:
        for keys in names:
            await repository.update_batch(batch_of(keys))
    return names


async def written_side_by_side(
    dsn: str, names: Sequence[Sequence[EntityKey]]
) -> tuple[Sequence[str], list[int]]:
    """Write a batch of each stranger, and commit when both are written.

    Returns on what there were predicate locks, and how often each stranger had to begin again.
    """
    async with (
        held_repository_on(dsn) as (one, one_pool),
        held_repository_on(dsn) as (other, other_pool),
        session_on(dsn) as session,
    ):
        pools = one_pool, other_pool
        writing = [
            asyncio.create_task(repository.update_batch(batch_of(keys)))
            for repository, keys in zip((one, other), names, strict=True)
        ]
        async with asyncio.timeout(PATIENCE):
            for pool in pools:
                await pool.written.wait()
            locked = await predicate_locks(session)
            for pool in pools:
                pool.commits.set()
            await asyncio.gather(*writing)
        return locked, [repository.statistics.undecided for repository in (one, other)]


async def predicate_locks(session: Session) -> Sequence[str]:
    return sorted(name for (name,) in await session.fetch(_PREDICATE_LOCKS))


def batch_of(keys: Sequence[EntityKey]) -> UpdateBatch:
    updates: tuple[Update, ...] = tuple(update(put("f", 1), key=key) for key in keys)
    return UpdateBatch(updates=updates, request_id=uuid4(), fingerprint=b"1")


def counting(names: Sequence[str]) -> pb.BatchUpdateFeaturesRequest:
    return pb.BatchUpdateFeaturesRequest(
        updates=[making(name) for name in names], request_id=str(uuid4())
    )


def making(name: str) -> pb.UpdateFeaturesRequest:
    one = pb.FeatureUpdate(name="count", increment=FeatureValue(int64_value=1))
    return _of(name, one)


def leaving(name: str) -> pb.UpdateFeaturesRequest:
    """There is nothing to remove."""
    return _of(name, pb.FeatureUpdate(name="nothing", remove=True))


def _of(name: str, item: pb.FeatureUpdate) -> pb.UpdateFeaturesRequest:
    key = KeyMessage(entity_type="opposite", entity_id=name)
    return pb.UpdateFeaturesRequest(key=key, updates=[item])


async def deadlocks_in(dsn: str) -> int:
    async with session_on(dsn) as session:
        counted = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(await session.fetchval(counted))
