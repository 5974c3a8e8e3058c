"""A database as those who look after it see it."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from repository.credentials import Password
from repository.migrations.session import session_on
from repository.sessions.facts import Facts, describe
from repository.statements import INSPECTION


class Partitions(NamedTuple):
    """Those of one table."""

    parent: str
    partitions: int
    newest: date | None
    """The day that the newest one begins with; None: there is none."""
    default_bytes: int
    """Of rows that had no partition of their own; they may have been moved since."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found."""

    facts: Facts
    clock: datetime
    bytes: int
    partitions: tuple[Partitions, ...]
    """Empty without a schema."""


async def inspect(dsn: str, password: Password | None = None) -> Inspection:
    """Look at a database. Raises MigrationFailed, or DatabaseUnfit if nobody could serve it."""
    async with session_on(dsn, password) as session:
        facts = await describe(session)
        ((clock, size),) = await session.fetch(INSPECTION["database_size"])
        found = await session.fetch(INSPECTION["partition_counts"])
        return Inspection(facts, clock, size, tuple(Partitions(*each) for each in found))
