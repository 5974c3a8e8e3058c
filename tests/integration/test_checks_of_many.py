"""Checks of many or large aggregates: page by page, and hardly any with writers waiting."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import pytest

from application import entity_types as applying
from application.aggregate_check import AggregateCheck
from application.entity_types import EntityTypes
from codec.state import dump_aggregate, new_aggregate
from domain.entity_key import EntityKey
from domain.entity_type_store import ScannedAggregate, ScannedPage
from domain.errors import Contended, IncompatibleChange
from domain.limits import Limits
from domain.operations import SetValue
from domain.update import FeatureUpdate, Update
from domain.values import FeatureValue, ValueKind
from repository.entity_types import postgres as postgres_types
from repository.entity_types import written as written_types
from repository.entity_types.written import SnapshotMark
from repository.postgres import PostgresRepository
from tests.integration.bounded_types import NARROW, WIDE, apply, servers, update
from tests.integration.writers_in_flight import CARD, NEW_WRITER, write_raw, writer_in_flight
from tests.kit.fault_injection import session_on
from tests.kit.samples import NOW, UID
from tests.kit.waiting import eventually

__all__ = ["servers"]


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
