"""A check of stored aggregates beside other calls."""

import time
from itertools import pairwise
from typing import Any

import pytest

from application.aggregate_check import AggregateCheck
from domain.entity_type import EntityType
from domain.entity_type_store import ScannedAggregate
from domain.policy import Policy
from repository.memory import MemoryRepository
from tests.integration.test_long_evaluations import ContentionLocks

MANY = 20
"""Turns of the event loop that an update takes at most."""


async def test_an_update_has_its_time_between_two_aggregates_that_take_long_to_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    contention = ContentionLocks()
    seen: list[int] = []

    def takes_long(*_: Any) -> list[Any]:
        seen.append(contention.count)
        time.sleep(0.05)
        return []

    monkeypatch.setattr(Policy, "state_violations", takes_long)
    stored = MemoryRepository()
    check = AggregateCheck(
        stored.entity_types, Policy(EntityType(name="customer"), stored.compiler)
    )
    page = [ScannedAggregate(str(number), {}) for number in range(4)]
    assert (await check.broken(page, 0)).aggregates == 0
    assert all(later - earlier > MANY for earlier, later in pairwise(seen))
