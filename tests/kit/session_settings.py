"""The settings that a session of ours has in force."""

from typing import Any, Final

IN_FORCE: Final = {
    "statement_timeout": "7s",
    "lock_timeout": "7s",
    "idle_in_transaction_session_timeout": "7s",
    "idle_session_timeout": "0",
    "transaction_read_only": "off",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "synchronous_commit": "on",
    "search_path": "public, pg_temp",
    "jit": "off",
}
"""With a statement time-out of 7 s; the isolation is that of the pool."""


async def settings_of(connection: Any) -> dict[str, str]:
    """What each of them is, and the isolation."""
    found = {}
    for name in (*IN_FORCE, "transaction_isolation"):
        found[name] = str(await connection.fetchval(f"SHOW {name}"))
    return found
