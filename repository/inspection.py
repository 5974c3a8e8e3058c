"""A database as those who look after it see it."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import asyncpg

from repository.credentials import Password
from repository.migrations.session import session_on
from repository.sessions.facts import Facts, Session, describe
from repository.statements import INSPECTION


class Partitions(NamedTuple):
    """Those of one table."""

    parent: str
    partitions: int
    reaches: datetime | None
    """Where the newest one ends; None: there is none."""
    default_has_rows: bool
    """Some rows had no partition of their own."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found."""

    facts: Facts
    clock: datetime
    bytes: int
    partitions: tuple[Partitions, ...]
    """Empty too where the schema is older than they are."""


async def inspect(dsn: str, password: Password | None = None) -> Inspection:
    """Look at a database. Raises MigrationFailed, or DatabaseUnfit if nobody could serve it."""
    async with session_on(dsn, password) as session:
        facts = await describe(session)
        ((clock, size),) = await session.fetch(INSPECTION["sizes"])
        return Inspection(facts, clock, size, await _partitions(session))


async def _partitions(session: Session) -> tuple[Partitions, ...]:
    try:
        found = await session.fetch(INSPECTION["partitions"])
    except asyncpg.UndefinedFunctionError:
        return ()
    return tuple(Partitions(*record) for record in found)
