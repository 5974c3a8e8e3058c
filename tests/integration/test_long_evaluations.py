"""Nobody else waits while a batch of commands is evaluated, however long that takes."""

import asyncio
from itertools import pairwise

import pytest

from application.working_copy import WorkingCopy
from domain.entity_key import EntityKey
from domain.outcome import UpdateOutcome
from domain.update import Command, Update, UpdateBatch
from repository.postgres import PostgresOptions
from runtime import time_slice
from tests.kit.fault_injection import repository_on
from tests.kit.samples import put, update

SIZE = 50


class ContentionLocks:
    """Counts how often the event loop turns."""

    def __init__(self) -> None:
        self.count = 0
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self.count += 1
        self._loop.call_soon(self._turn)


def _commands(together: bool) -> list[Command]:
    updates = tuple(
        update(put("balance", number), key=EntityKey("card", f"c-{number}"))
        for number in range(SIZE)
    )
    return [UpdateBatch(updates=updates)] if together else list(updates)


@pytest.mark.parametrize("together", [True, False], ids=["one call", "many calls"])
async def test_the_event_loop_turns_between_updates_that_take_long(
    database: str, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    monkeypatch.setattr(time_slice, "LONG", 0.0)
    contention, seen = ContentionLocks(), []
    apply = WorkingCopy.update

    def noted(copy: WorkingCopy, command: Update, now: int) -> UpdateOutcome:
        seen.append(contention.count)
        return apply(copy, command, now)

    monkeypatch.setattr(WorkingCopy, "update", noted)
    async with repository_on(database, PostgresOptions(lanes=1)) as repository:
        await asyncio.gather(*map(repository.submit, _commands(together)))
    assert len(seen) == SIZE
    assert all(later > earlier for earlier, later in pairwise(seen))
