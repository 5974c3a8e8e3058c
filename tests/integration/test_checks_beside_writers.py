"""What is written while stored aggregates are checked against a new definition is checked too."""

import asyncio
from typing import Any

import pytest

from domain.entity_key import EntityKey
from domain.entity_type_store import ScannedPage
from domain.errors import IncompatibleChange
from domain.update import Deletion
from repository.entity_types.written import SnapshotMark
from repository.postgres import PostgresRepository
from tests.integration.bounded_types import KEY, NARROW, WIDE, apply, servers, update
from tests.integration.writers_in_flight import CARD, builds, patient, write_raw, writer_in_flight
from tests.kit.fault_injection import somebody_waits_for_a_lock

__all__ = ["patient", "servers"]


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
