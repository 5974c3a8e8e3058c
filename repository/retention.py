"""How long the store keeps request ids and changes: a setting of the database, not of a server.

A server tells what it promises its callers, and the store keeps ids for as long as the longest
promise. The owner sets the rest, by `featom retention`.
"""

import logging
import math
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from repository.connections.isolation import ReadCommittedPool
from repository.connections.pool import Connection
from repository.credentials import Password
from repository.migrations.session import session_on
from repository.sessions.facts import Session
from repository.statements import RETENTION

log = logging.getLogger(__name__)


class Retention(NamedTuple):
    """How long what is kept."""

    requests: timedelta
    """Request ids, at least."""
    changes: timedelta | None
    """None: without limit."""


async def read_retention(dsn: str, password: Password | None = None) -> Retention:
    """Raises MigrationFailed."""
    async with session_on(dsn, password) as session:
        return await _read(session, RETENTION["read_retention"])


async def set_retention(
    dsn: str,
    password: Password | None = None,
    *,
    requests: timedelta | None = None,
    changes: timedelta | None = None,
) -> Retention:
    """Set what is given, as the owner of the schema; `changes` of no length are kept without limit.

    Raises MigrationFailed.
    """
    async with session_on(dsn, password) as session, session.transaction():
        before = await _read(session, f"{RETENTION['read_retention']} FOR UPDATE")
        after = Retention(
            before.requests if requests is None else requests,
            before.changes if changes is None else changes or None,
        )
        if after != before:
            await session.execute(RETENTION["set_retention"], *after)
    return after


async def _read(session: Session, statement: str) -> Retention:
    (record,) = await session.fetch(statement)
    return Retention(*record)


class ObservedRetention:
    """What a server knows of the store's retention, and what it tells the store of time.

    The database's clock can be set; a monotonic clock cannot. So what is to be dropped is old
    enough only when servers have seen so much time pass by theirs.
    """

    def __init__(
        self, promised: timedelta, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.promised = promised
        """How long this server's callers may count on their request ids."""
        self.kept = Retention(promised, None)
        """As it was seen last."""
        self.clock_offset = math.nan
        """Seconds that the database's clock is ahead of this server's, as seen last."""
        self.clock_offset_error = math.inf
        """By how much that may be wrong: half of the round trip."""
        self._monotonic = monotonic
        self._told: timedelta | None = None
        self._told_at = 0.0
        self._said: Retention | None = None

    async def look(self, pool: ReadCommittedPool) -> None:
        """Tell the store what is promised and how much time has passed, and see what it keeps.

        Raises as Pool.run.
        """
        passed = timedelta(seconds=self._monotonic() - self._told_at)
        kept, elapsed, before = await pool.run(lambda connection: self._observe(connection, passed))
        # Only now: rather too little has passed than too much.
        self._told, self._told_at = elapsed, self._monotonic()
        self.kept = kept
        self._say(before)

    async def _observe(
        self, connection: Connection, passed: timedelta
    ) -> tuple[Retention, timedelta, timedelta]:
        asked, begun = time.time(), self._monotonic()
        record = await connection.fetchrow(
            RETENTION["observe_retention"], self.promised, self._told, passed
        )
        assert record is not None
        requests, changes, elapsed, before, database_time = record
        self._compare_clocks(asked, self._monotonic() - begun, database_time)
        return Retention(requests, changes), elapsed, before

    def _compare_clocks(self, asked: float, round_trip: float, database_time: datetime) -> None:
        """After Cristian, "Probabilistic Clock Synchronization" (1989)."""
        self.clock_offset_error = round_trip / 2
        self.clock_offset = database_time.timestamp() - (asked + self.clock_offset_error)

    def _say(self, before: timedelta) -> None:
        """What people should know, once."""
        if self.kept.requests > before:
            log.warning("the store keeps request ids for %s now, not %s", self.promised, before)
        elif self.kept != self._said and self.kept.requests > self.promised:
            log.info(
                "the store keeps request ids for %s; that this server asks for %s changes nothing",
                self.kept.requests,
                self.promised,
            )
        self._said = self.kept
