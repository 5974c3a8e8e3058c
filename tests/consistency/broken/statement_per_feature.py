"""Featom with one statement a feature instead of one transaction an update."""

from msgspec.structs import replace

from domain import Update, UpdateOutcome
from repository.postgres import PostgresRepository


class StatementPerFeature(PostgresRepository):
    """Writes the features of an update one after the other, each in a transaction of its own."""

    async def update(self, update: Update, deadline: float | None = None) -> UpdateOutcome:
        for item in update.updates:
            outcome = await super().update(replace(update, updates=(item,)), deadline)
        return outcome
