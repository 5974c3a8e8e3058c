"""Reads that are not one snapshot."""

import asyncio
from collections.abc import Sequence

from domain.entity_key import EntityKey
from domain.ports import AnswerRoom, Snapshot
from repository.postgres import PostgresRepository
from tests.consistency.sabotages.breaking import LATER, replace_in


def read_key_by_key() -> None:
    """Read each key with a statement of its own."""
    read = PostgresRepository.read

    async def read_apart(
        self: PostgresRepository, keys: Sequence[EntityKey], room: AnswerRoom | None = None
    ) -> Snapshot:
        found = await read(self, keys[:1], room)
        for key in keys[1:]:
            await asyncio.sleep(LATER / 5)
            found += await read(self, [key], room)
        return found

    replace_in(PostgresRepository, "read", read_apart)
