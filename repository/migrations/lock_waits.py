"""Waiting for locks: whom a migration waits for, in words, and trying again what did not get its
own."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

import asyncpg

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Result = TypeVar("Result")

_LOCK: Final = """
    SELECT a.pid, a.application_name, a.client_addr::text AS host, a.backend_start, a.state,
        a.xact_start, now() AS read_time
    FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = $1
"""

# Row locks are in no table of PostgreSQL, but whoever has some has the table's too.
_TABLES: Final = """
    SELECT DISTINCT a.pid, a.application_name, a.client_addr::text AS host, a.backend_start,
        a.state, a.xact_start, now() AS read_time
    FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
    WHERE l.locktype = 'relation' AND l.granted AND a.pid <> pg_backend_pid()
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY a.xact_start NULLS LAST LIMIT 3
"""

AGAIN: Final = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "55P03",  # lock_not_available: over the lock time-out
        "57014",  # query_canceled: over the statement time-out
    }
)
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0

log = logging.getLogger(__name__)


async def holder_of(session: Session, lock: int) -> str:
    """The session that has an advisory lock."""
    found = await session.fetch(_LOCK, lock)
    return _described(found[0]) if found else "a session that has just let go of it"


async def holders_of_tables(session: Session) -> str:
    """The sessions that have locks on tables, those first whose transactions are the oldest; they
    need not be in the way."""
    found = await session.fetch(_TABLES)
    return "; ".join(map(_described, found)) or "nobody who has locks on tables now"


def _described(session: asyncpg.Record) -> str:
    """Of another role's session an ordinary one sees the number and the name alone."""
    name = session["application_name"] or "without a name"
    host = f" from {session['host']}" if session["host"] else ""
    state = f", {session['state']}" if session["state"] else ""
    since = session["xact_start"] or session["backend_start"]
    lasts = ""
    if since is not None:
        what = "in a transaction" if session["xact_start"] else "connected"
        seconds = (session["read_time"] - since).total_seconds()
        lasts = f", {what} since {since:%Y-%m-%d %H:%M:%S} UTC ({seconds:.0f} s)"
    return f"process {session['pid']} ({name}{host}{state}{lasts})"


async def trying(
    session: Session, what: str, attempt: Callable[[], Awaitable[Result]], seconds: float
) -> Result:
    """Run `attempt` until it gets its locks. It must leave nothing behind when it fails.

    Who may be in the way is told in the log after each try.

    Raises its error if that means something else, or if `seconds` have passed.
    """
    latest = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while True:
        try:
            return await attempt()
        except asyncpg.PostgresError as error:
            if error.sqlstate not in AGAIN or time.monotonic() + pause > latest:
                raise
            log.warning(
                "%s is tried again in %.1f s: %s; locks on tables have: %s",
                *(what, pause, error, await holders_of_tables(session)),
            )
        # Those who waited behind it have the pause for themselves.
        await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311
        pause = min(2 * pause, _LONGEST_PAUSE)
