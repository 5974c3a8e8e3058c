"""Reads that are not one snapshot."""

import asyncio
from collections.abc import Sequence

from domain.entity_key import EntityKey
from domain.ports import AnswerRoom, StoredAggregate
from repository.postgres import PostgresRepository
from tests.consistency.sabotages.breaking import LATER, replace_in


def read_key_by_key() -> None:
    """Read each key with a statement of its own."""
    read = PostgresRepository.read

    async def read_apart(
        self: PostgresRepository, keys: Sequence[EntityKey], room: AnswerRoom | None = None
    ) -> Sequence[StoredAggregate | None]:
        found: list[StoredAggregate | None] = []
        for key in keys:
            found += await read(self, [key], room)
            await asyncio.sleep(LATER / 5)
        return found

    replace_in(PostgresRepository, "read", read_apart)
