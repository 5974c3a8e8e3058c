"""Updates that come in parts or are heavy, while their entity type is being changed."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from application import evaluation
from domain.entity_key import EntityKey
from domain.outcome import UpdateOutcome
from repository.pipeline import committing
from repository.pipeline.submission import Submission
from repository.postgres import PostgresRepository
from tests.integration.bounded_types import NARROW, WIDE, apply, servers, update
from tests.integration.writers_in_flight import CARD, NEW_WRITER, patient, writer_in_flight
from tests.kit.fault_injection import somebody_waits_for_a_lock
from tests.kit.samples import put
from tests.kit.samples import update as update_of
from tests.kit.waiting import eventually_true

__all__ = ["patient", "servers"]

KEYS = [EntityKey("customer", f"c-{number:02}") for number in range(12)]


async def store(server: PostgresRepository, content: bytes) -> None:
    operations = put("content", content), put("a", 0), put("b", 0)
    await asyncio.gather(*(server.update(update_of(*operations, key=key)) for key in KEYS))


@pytest.fixture
def halves(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that were tried in halves."""
    seen: list[int] = []
    commit_halves = committing._commit_halves

    async def noted(committer: Any, batch: Sequence[Submission]) -> list[Submission]:
        seen.append(len(batch))
        return await commit_halves(committer, batch)

    monkeypatch.setattr(committing, "_commit_halves", noted)
    return seen


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("large", [True, False], ids=["heavy", "in parts"])
async def test_large_updates_wait_for_a_change_and_leave_the_lanes_to_others(
    servers: list[PostgresRepository],
    database: str,
    halves: list[int],
    monkeypatch: pytest.MonkeyPatch,
    large: bool,
) -> None:
    server = servers[0]
    if large:
        await store(server, bytes(1_000_000))
    else:
        monkeypatch.setattr(evaluation, "MADE", 0)
    await apply(server, WIDE)
    async with writer_in_flight(database, NEW_WRITER) as writer:
        changing = asyncio.create_task(apply(servers[1], NARROW, accept=False))
        await somebody_waits_for_a_lock(writer)
        own = [server.submit(update(key, a=n, b=5)) for n in (1, 2, 3) for key in KEYS]
        tried = server.statistics.undecided

        async def again_and_again() -> bool:
            await server.update(update(CARD, a=500))
            return server.statistics.undecided - tried >= len(own) * 5

        await eventually_true(again_and_again)
        assert not any(each.done() for each in own)
        assert not halves
        assert not server._protocol._contention.contended(KEYS)
    assert await changing == 2
    outcomes = [each for each in await asyncio.gather(*own) if isinstance(each, UpdateOutcome)]
    first = 2 if large else 1
    assert [each.version for each in outcomes] == [
        version for version in range(first, first + 3) for _ in KEYS
    ]
