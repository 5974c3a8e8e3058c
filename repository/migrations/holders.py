"""Whom a migration waits for, in words: an operator must see who is in the way."""

from typing import Final, TypeAlias

import asyncpg

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

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
