"""The sessions that servers have open in PostgreSQL."""

from typing import Final, NamedTuple

import asyncpg

_SESSIONS: Final = """
SELECT
    count(*),
    count(*) FILTER (WHERE state <> 'idle'),
    count(*) FILTER (WHERE state LIKE 'idle in transaction%')
FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'featom%'
"""


class Sessions(NamedTuple):
    """How many there are."""

    open: int
    busy: int
    in_transaction: int
    """Of the busy ones, those that wait for their client in the middle of a transaction."""


async def sessions_of(dsn: str) -> Sessions:
    """As of now; our own does not count."""
    connection = await asyncpg.connect(dsn)
    try:
        row = await connection.fetchrow(_SESSIONS)
        assert row is not None
        return Sessions(*row)
    finally:
        await connection.close()
