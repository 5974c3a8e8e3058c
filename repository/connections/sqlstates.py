"""What a failure of the database means to a server: the only place that knows its SQLSTATEs.

Failures are told apart by code, never by text, and by constraint name where the code is not enough.
"""

from enum import Enum, auto
from typing import Final

import asyncpg


class Verdict(Enum):
    """What to do about a failure."""

    AGAIN = auto()
    """The transaction lost a race and left nothing: run the whole of it again."""
    AWAY = auto()
    """The database is not there, or not able to work now."""
    TOO_LARGE = auto()
    """What was asked for is more than the database can put into one answer."""
    FAULT = auto()
    """None of these: a defect, or data that the database cannot take."""


AGAIN: Final = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "55P03",  # lock_not_available
        "23505",  # unique_violation: another writer made the row that was not there a moment ago
    }
)
AWAY: Final = frozenset(
    {
        "25006",  # read_only_sql_transaction: this is a standby now
        "26000",  # invalid_sql_statement_name: prepared on another backend, by a pooler's doing
        "42P05",  # duplicate_prepared_statement: a stranger's, likewise
        "42501",  # insufficient_privilege: the role of the servers has not got its grants yet
        "42P01",  # undefined_table: the schema is not there yet, or not this build's
        "42703",  # undefined_column
        "42883",  # undefined_function
        "3D000",  # invalid_catalog_name: the database is not there, or not there yet
        "57014",  # query_canceled: over the statement time-out
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now
        "57P05",  # idle_session_timeout
        "25P03",  # idle_in_transaction_session_timeout
        "25P04",  # transaction_timeout
    }
)
SUSPICIOUS: Final = frozenset({"25006", "26000", "42P05"})
"""What no session says that is what it was when it was set up."""
DISK_FULL: Final = "53100"
TOO_LARGE: Final = frozenset({"54000"})  # program_limit_exceeded
AWAY_CLASSES: Final = frozenset(
    {
        "08",  # connection exceptions
        "28",  # credentials that are not accepted, which may be on their way of being changed
        "53",  # out of disk, memory or connections
        "58",  # the operating system failed
    }
)


def verdict(error: BaseException) -> Verdict:
    """What a failure means, whether the driver, the network or PostgreSQL raised it."""
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return Verdict.AGAIN  # the schema changed under a prepared statement
    if isinstance(error, asyncpg.PostgresError):
        return _by_sqlstate(error.sqlstate or "")
    # A driver that finds its connection closed raises InterfaceError; one to which the server said
    # goodbye while it was idle, InternalClientError.
    lost = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)
    if isinstance(error, lost):
        return Verdict.AWAY
    return Verdict.FAULT


def sqlstate_of(error: BaseException) -> str:
    """What PostgreSQL calls a failure; empty where the driver or the network failed."""
    return (error.sqlstate or "") if isinstance(error, asyncpg.PostgresError) else ""


def _by_sqlstate(sqlstate: str) -> Verdict:
    if sqlstate in AGAIN:
        return Verdict.AGAIN
    if sqlstate in AWAY or sqlstate[:2] in AWAY_CLASSES:
        return Verdict.AWAY
    if sqlstate in TOO_LARGE:
        return Verdict.TOO_LARGE
    return Verdict.FAULT
