"""Callers of the article's design: each tries again when another one was faster."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol
from uuid import UUID

from benchmarks.writes import changes
from benchmarks.writes.orders import Order
from domain.operations import SetValue
from repository.pipeline.backoff import backoff

DIFFERENT: Final = 1_000


class Conflict(Exception):
    """The aggregate is not the version that was read any more."""


class Attempt(Protocol):
    """One transaction."""

    async def __call__(self, entity: UUID, values: Mapping[str, object]) -> None:
        """Give features of an entity new values, all of them.

        Raises Conflict if another one was faster; nothing is changed then.
        """


class Callers:
    """Makes attempts, again and again until nobody else is faster."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._attempts = 0
        self._conflicts = 0
        self._different = [_values() for _ in range(DIFFERENT)]

    def caller(self, order: Order) -> Callable[[], Awaitable[object]]:
        async def call() -> None:
            entity = UUID(int=random.randrange(order.entities))
            await self._update(entity, random.choice(self._different))

        return call

    def contention(self) -> tuple[int, int]:
        return self._attempts, self._conflicts

    async def _update(self, entity: UUID, values: Mapping[str, object]) -> None:
        attempt = 1
        while not await self._succeeds(entity, values):
            await asyncio.sleep(backoff(attempt))
            attempt += 1

    async def _succeeds(self, entity: UUID, values: Mapping[str, object]) -> bool:
        self._attempts += 1
        try:
            await self._attempt(entity, values)
        except Conflict:
            self._conflicts += 1
            return False
        return True


def _values() -> Mapping[str, object]:
    return {
        update.name: update.operation.value.content
        for update in changes.feature_updates()
        if isinstance(update.operation, SetValue)
    }
