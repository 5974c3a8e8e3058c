"""Changes of entity types beside writers: who waits for whom, and what is checked when."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import asyncpg
import pytest

from application import entity_types as applying
from application.aggregate_check import AggregateCheck
from application.entity_types import EntityTypes
from codec.state import dump_aggregate, new_aggregate
from domain.entity_key import EntityKey
from domain.entity_type_store import ScannedAggregate, ScannedPage
from domain.errors import Contended, EntityTypeInUse, IncompatibleChange
from domain.limits import Limits
from domain.operations import SetValue
from domain.update import Deletion, FeatureUpdate, Update
from domain.values import FeatureValue, ValueKind
from repository.entity_types import postgres as postgres_types
from repository.entity_types import written as written_types
from repository.entity_types.written import SnapshotMark
from repository.postgres import PostgresRepository
from repository.statements import TYPES, WRITE
from repository.writing.transaction import Written, write
from tests.integration.test_rule_changes import KEY, NARROW, WIDE, apply, servers, update
from tests.kit.fault_injection import Session, session_on, somebody_waits_for_a_lock
from tests.kit.samples import NOW, UID
from tests.kit.waiting import eventually, eventually_true

__all__ = ["servers"]

CARD: Final = EntityKey("card", "k-1")

NEW_WRITER: Final = "SELECT pg_try_advisory_xact_lock_shared(hashtextextended($1, 7305411223044))"
OLD_WRITER: Final = "SELECT true FROM entity_types WHERE name = $1 FOR SHARE"
"""One of a build that knew only the lock on the row."""

builds = pytest.mark.parametrize("lock", [NEW_WRITER, OLD_WRITER], ids=["new", "old"])


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that waits for writers as long as the test needs."""
    monkeypatch.setattr(postgres_types, "_WAIT_FOR_WRITERS", "8s")


@asynccontextmanager
async def writer_in_flight(dsn: str, lock: str, name: str = "customer") -> AsyncIterator[Session]:
    """A transaction that holds what a writer of a type holds; it is committed at the end."""
    async with session_on(dsn) as session, session.transaction():
        assert await session.fetchval(lock, name)
        yield session


async def write_raw(session: Session, key: EntityKey, **values: int) -> None:
    """What a writer writes, at a commit time that is long past."""
    subject = new_aggregate(key, UID, 1)
    subject.apply(update(key, **values), NOW)
    await session.execute(
        "INSERT INTO aggregates VALUES ($1, $2, $3, 1, $4, now(), now())",
        *key,
        UID,
        dump_aggregate(subject),
    )
    await session.execute(
        "INSERT INTO changes (entity_type, entity_id, uid, version, commit_time, batch_id, change)"
        " VALUES ($1, $2, $3, 1, now() - interval '1 hour', $4, '')",
        *key,
        UID,
        uuid4(),
    )


async def fill(dsn: str, count: int, name: str = "customer") -> None:
    """So many aggregates that keep every rule."""
    subject = new_aggregate(EntityKey(name, "n"), UID, 1)
    subject.apply(update(EntityKey(name, "n"), a=5, b=5), NOW)
    async with session_on(dsn) as session:
        await session.execute(
            "INSERT INTO aggregates SELECT $3, 'n-' || n, gen_random_uuid(), 1, $1, now(), now()"
            " FROM generate_series(1, $2::int) AS n",
            dump_aggregate(subject),
            count,
            name,
        )
        await session.execute("ANALYZE")


@builds
@pytest.mark.usefixtures("patient")
async def test_writers_of_other_types_never_wait_while_a_change_waits_for_its_own(
    servers: list[PostgresRepository], database: str, lock: str
) -> None:
    """Also those that are in one batch with them; and those of its own cannot starve it."""
    await apply(servers[0], WIDE)
    async with writer_in_flight(database, lock) as writer:
        changing = asyncio.create_task(apply(servers[1], NARROW, accept=False))
        await somebody_waits_for_a_lock(writer)
        own = [asyncio.ensure_future(server.submit(update(a=5, b=5))) for server in servers]
        others = [server.submit(update(CARD, a=500)) for server in servers for _ in range(20)]
        await asyncio.gather(*others)
        assert not changing.done()
        assert not any(each.done() for each in own)
    assert await changing == 2
    await asyncio.gather(*own)


@pytest.mark.usefixtures("patient")
async def test_writers_that_wait_for_a_change_leave_the_lanes_to_others(
    servers: list[PostgresRepository], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many of them, tried again and again for long; not in halves, and not in turns."""
    await apply(servers[0], WIDE)
    writes = 0

    async def counted_write(*arguments: Any, **options: Any) -> Written:
        nonlocal writes
        writes += 1
        return await write(*arguments, **options)

    monkeypatch.setattr("repository.writing.write_protocol.write", counted_write)
    keys = [EntityKey("customer", f"c-{n}") for n in range(200)]
    async with writer_in_flight(database, NEW_WRITER) as writer:
        changing = asyncio.create_task(apply(servers[1], NARROW))
        await somebody_waits_for_a_lock(writer)
        own = [servers[0].submit(update(key, a=5, b=5)) for key in keys]
        tried = servers[0].statistics.undecided

        async def again_and_again() -> bool:
            await servers[0].update(update(CARD, a=500))
            return servers[0].statistics.undecided - tried >= 200 * 6

        await eventually_true(again_and_again)
        assert writes <= servers[0].statistics.batches + 2
        assert not servers[0]._protocol._contention.contended(keys)
    await changing
    await asyncio.gather(*own)


@builds
async def test_a_change_that_is_not_let_in_says_so_and_leaves_writers_alone(
    servers: list[PostgresRepository], database: str, lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_types, "_WAIT_FOR_WRITERS", "50ms")
    monkeypatch.setattr(applying, "_TRIES", 3)
    await apply(servers[0], WIDE)
    async with writer_in_flight(database, lock):
        changing = asyncio.create_task(apply(servers[1], NARROW, accept=False))
        while not changing.done():
            await servers[0].update(update(a=5, b=5))
        with pytest.raises(Contended, match="did not let the change in"):
            await changing
    assert (await servers[1].entity_types.current("customer")).revision == 1


@pytest.mark.usefixtures("patient")
async def test_a_deletion_of_a_type_waits_for_its_own_writers_alone(
    servers: list[PostgresRepository], database: str
) -> None:
    await apply(servers[0], WIDE)
    types = EntityTypes(servers[1].entity_types, servers[1].compiler, Limits())
    async with writer_in_flight(database, NEW_WRITER) as writer:
        deleting = asyncio.create_task(types.delete("customer", None, force=False))
        await somebody_waits_for_a_lock(writer)
        await servers[0].update(update(CARD, a=500))
        await write_raw(writer, KEY, a=5, b=5)
        assert not deleting.done()
    with pytest.raises(EntityTypeInUse):
        await deleting


@builds
@pytest.mark.usefixtures("patient")
async def test_what_was_in_flight_before_the_check_began_is_checked(
    servers: list[PostgresRepository], database: str, lock: str
) -> None:
    """Whatever commit time it has."""
    await apply(servers[0], WIDE)
    async with writer_in_flight(database, lock) as writer:
        await write_raw(writer, KEY, a=50, b=50)
        await servers[0].update(update(CARD, a=5))  # a later transaction is committed before
        changing = asyncio.create_task(apply(servers[1], NARROW, accept=False))
        await somebody_waits_for_a_lock(writer)
    with pytest.raises(IncompatibleChange) as refused:
        await changing
    assert refused.value.violating == 1


@pytest.mark.parametrize("when", ["scan", "replace"])
async def test_what_is_written_behind_the_check_is_checked(
    servers: list[PostgresRepository], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """While the rest is still scanned, and between the last look and the lock."""
    await servers[0].update(update(a=5, b=5))
    store = servers[1].entity_types
    step = getattr(store, when)

    async def step_and_write(*arguments: object) -> object:
        if when == "scan":
            page = await step(*arguments)
            await servers[0].update(update(EntityKey("customer", "a-new"), a=50, b=50))
            return page
        await servers[0].update(update(EntityKey("customer", "a-new"), a=50, b=50))
        return await step(*arguments)

    monkeypatch.setattr(store, when, step_and_write)
    with pytest.raises(IncompatibleChange):
        await apply(servers[1], NARROW, accept=False)
    assert (await store.current("customer")).definition is None


async def test_what_was_deleted_or_mended_meanwhile_is_in_nobodys_way(
    servers: list[PostgresRepository], monkeypatch: pytest.MonkeyPatch
) -> None:
    await servers[0].update(update(a=5, b=5))
    store = servers[1].entity_types
    scan = store.scan
    deleted, mended = EntityKey("customer", "a-1"), EntityKey("customer", "a-2")

    async def scan_and_write(*arguments: Any) -> ScannedPage:
        page = await scan(*arguments)
        for key in (deleted, mended):
            await servers[0].update(update(key, a=50, b=50))
        await servers[0].delete(Deletion(key=deleted))
        await servers[0].update(update(mended, a=5, b=5))
        return page

    monkeypatch.setattr(store, "scan", scan_and_write)
    assert await apply(servers[1], NARROW, accept=False) == 1


async def test_after_a_failover_in_between_all_is_checked_again(
    servers: list[PostgresRepository], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For numbers of transactions may come again. The first mark is of another timeline here."""
    store = servers[1].entity_types
    mark, scan = store.mark, store.scan
    marks: list[SnapshotMark] = []
    scanned: list[str] = []

    async def mark_before_the_failover() -> SnapshotMark:
        made = await mark()
        assert isinstance(made, SnapshotMark)
        marks.append(made if marks else made._replace(timeline="00000000"))
        return marks[-1]

    async def noted_scan(name: str, after: str, limit: int) -> ScannedPage:
        scanned.append(after)
        return await scan(name, after, limit)

    await servers[0].update(update(a=5, b=5))
    monkeypatch.setattr(store, "mark", mark_before_the_failover)
    monkeypatch.setattr(store, "scan", noted_scan)
    assert await apply(servers[1], NARROW, accept=False) == 1
    assert len(scanned) == 2


async def test_a_writer_of_an_older_build_does_not_commit_after_the_change(
    servers: list[PostgresRepository], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await apply(servers[0], WIDE)
    write = postgres_types._write
    async with session_on(database) as older, session_on(database) as watching:
        writing: list[asyncio.Task[object]] = []

        async def write_while_an_older_one_tries(*arguments: object) -> bool:
            await older.execute("BEGIN ISOLATION LEVEL SERIALIZABLE")
            writing.append(asyncio.create_task(older.fetchval(OLD_WRITER, "customer")))
            await somebody_waits_for_a_lock(watching)
            return await write(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(postgres_types, "_write", write_while_an_older_one_tries)
        assert await apply(servers[1], NARROW, accept=False) == 2
        with pytest.raises(asyncpg.SerializationError):
            await writing[0]


async def test_nobody_waits_for_the_row_of_a_type_that_is_about_to_be_changed(
    servers: list[PostgresRepository], database: str
) -> None:
    async with session_on(database) as changer, changer.transaction():
        async with session_on(database) as before:
            await before.execute(TYPES["ensure_rows"], ["customer"])
        await changer.execute("UPDATE entity_types SET revision = 1 WHERE name = 'customer'")
        async with session_on(database) as writer, asyncio.timeout(60):
            await writer.execute(TYPES["ensure_rows"], ["card", "customer"])


async def test_of_many_aggregates_hardly_any_is_read_with_writers_waiting(
    servers: list[PostgresRepository], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = 10_000
    await apply(servers[0], WIDE)
    await fill(database, many)
    under_lock, in_all, written = 0, 0, 0
    guard = applying._Guard.__call__
    page_of = AggregateCheck.page

    async def counting_guard(self: Any, page: Sequence[ScannedAggregate]) -> None:
        nonlocal under_lock
        under_lock += len(page)
        await guard(self, page)

    async def counting_page(self: AggregateCheck, after: str, limit: int) -> Any:
        nonlocal in_all
        checked = await page_of(self, after, limit)
        in_all += checked.checked
        # However fast this machine reads: something is written beside each page.
        before = written
        await eventually(lambda: written >= before + 5)
        return checked

    monkeypatch.setattr(applying._Guard, "__call__", counting_guard)
    monkeypatch.setattr(AggregateCheck, "page", counting_page)
    changing = asyncio.create_task(apply(servers[1], NARROW, accept=False))
    while not changing.done():
        await servers[0].update(update(EntityKey("customer", f"n-{written % 5_000}"), a=6, b=6))
        written += 1
    assert await changing == 2
    assert in_all >= many
    assert written >= 5 * many / 200
    assert under_lock < 500


async def test_large_aggregates_are_checked_a_few_at_a_time(
    servers: list[PostgresRepository],
) -> None:
    large = FeatureValue(ValueKind.STRING, "x" * 60_000)
    for n in range(4):
        key = EntityKey("customer", f"c-{n}")
        updates = tuple(FeatureUpdate(f"f{i}", SetValue(large)) for i in range(8))
        await servers[0].update(Update(key=key, updates=updates))
    store = servers[0].entity_types
    first = await store.scan("customer", "", 100)
    assert (len(first.aggregates), first.more) == (2, True)
    since = await store.mark()
    assert isinstance(since, SnapshotMark)
    pages = [
        [each.entity_id for each in page]
        async for page in store.written_since("customer", since._replace(next_transaction=3))
    ]
    assert pages == [["c-0", "c-1"], ["c-2", "c-3"]]
    types = EntityTypes(store, servers[0].compiler, Limits())
    checked = await types.check(WIDE.definition, "", 100)
    assert (checked.checked, checked.last_id) == (2, "c-1")


async def test_what_was_written_comes_page_by_page_and_whole(
    servers: list[PostgresRepository], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written_types, "_KEYS", 3)
    monkeypatch.setattr(written_types, "_FIRST_STEP", 2)
    monkeypatch.setattr(written_types, "PAGE", 2)
    store = servers[0].entity_types
    async with session_on(database) as older, session_on(database) as other:
        await other.execute("BEGIN")
        await write_raw(other, EntityKey("customer", "in-flight"), a=1)
        await servers[0].update(update(CARD, a=1))
        since = await store.mark()
        await other.execute("COMMIT")
        for n in range(5):
            async with older.transaction():
                for m in range(n + 1):
                    await write_raw(older, EntityKey("customer", f"c-{n}-{m}"), a=1)
            await older.execute("SELECT pg_current_xact_id()")
        await servers[0].update(update(CARD, a=2))
    found = [
        each.entity_id async for page in store.written_since("customer", since) for each in page
    ]
    assert sorted(found) == sorted(
        ["in-flight", *(f"c-{n}-{m}" for n in range(5) for m in range(n + 1))]
    )
    assert [page async for page in store.written_since("customer", await store.mark())] == []


async def test_many_aggregates_are_counted_at_once(
    servers: list[PostgresRepository], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few exactly; of many, about how many they are."""
    await fill(database, 2_000)
    await fill(database, 500, "card")
    assert await servers[0].entity_types.count("customer") == 2_000
    monkeypatch.setattr(postgres_types, "_COUNTED", 100)
    assert math.isclose(await servers[0].entity_types.count("customer"), 2_000, rel_tol=0.1)
    assert math.isclose(await servers[0].entity_types.count("card"), 500, rel_tol=0.1)
    assert await servers[0].entity_types.count("none") == 0


async def test_a_check_whose_caller_went_away_changes_nothing_and_is_gone_on_with(
    servers: list[PostgresRepository], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(database, 1_000)
    server = servers[0]
    types = EntityTypes(server.entity_types, server.compiler, Limits())
    scan, scanned = server.entity_types.scan, list[str]()
    half_way = asyncio.Event()

    async def noted_scan(name: str, after: str, limit: int) -> ScannedPage:
        scanned.append(after)
        if len(scanned) == 3:
            half_way.set()
            await asyncio.Event().wait()
        return await scan(name, after, limit)

    async def ask(definition: Any) -> int:
        applied = await types.apply(definition, None, validate_only=False, accept_existing=False)
        return applied.entity_type.revision

    monkeypatch.setattr(server.entity_types, "scan", noted_scan)
    asking = asyncio.create_task(ask(NARROW.definition))
    await half_way.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert (await server.entity_types.current("customer")).revision == 0
    # What it has seen is written meanwhile.
    await server.update(update(EntityKey("customer", "n-1"), a=50, b=50))
    with pytest.raises(IncompatibleChange):
        await ask(NARROW.definition)
    assert scanned[2] == scanned[3] != ""
    # Another definition is checked from the beginning.
    assert await ask(WIDE.definition) == 1
    assert scanned.count("") == 2


async def test_a_change_that_was_not_let_in_does_not_check_all_again(
    servers: list[PostgresRepository], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_types, "_WAIT_FOR_WRITERS", "50ms")
    monkeypatch.setattr(applying, "_TRIES", 1)
    await apply(servers[0], WIDE)
    await servers[0].update(update(a=5, b=5))
    store, pages = servers[0].entity_types, list[str]()
    types = EntityTypes(store, servers[0].compiler, Limits())
    scan = store.scan

    async def noted_scan(name: str, after: str, limit: int) -> ScannedPage:
        pages.append(after)
        return await scan(name, after, limit)

    monkeypatch.setattr(store, "scan", noted_scan)
    async with writer_in_flight(database, NEW_WRITER):
        with pytest.raises(Contended):
            await types.apply(NARROW.definition, None, validate_only=False, accept_existing=False)
    await servers[0].update(update(a=50, b=50))
    with pytest.raises(IncompatibleChange):
        await types.apply(NARROW.definition, None, validate_only=False, accept_existing=False)
    assert pages == [""]


def test_the_locks_of_both_sides_are_the_same() -> None:
    lock = "hashtextextended({}, 7305411223044)"
    assert lock.format("$1") in TYPES["lock_type"]
    assert lock.format("r.name") in WRITE["write_batch"]
    assert lock.format("$1") in NEW_WRITER
