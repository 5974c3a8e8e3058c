"""What a failure of the database means to a server: the table of its SQLSTATEs.

What a failure means depends on when it came. While connecting, nothing was sent. What PostgreSQL
refuses with an ErrorResponse is definite: the transaction is rolled back, also if the COMMIT itself
was refused. Only where a connection ends, or is silent, under a statement is it not known whether
that was committed; and sometimes PostgreSQL's last word tells that it was not.

Failures are told apart by code, never by text, and by constraint name where the code is not enough.
"""

from collections.abc import Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Final, NamedTuple

import asyncpg


class Phase(Enum):
    """When a failure came."""

    CONNECTING = auto()
    """Before anything of the work was sent."""
    REFUSED = auto()
    """PostgreSQL answered the statement with an error, and the session goes on."""
    BROKEN = auto()
    """The connection ended, or was given up, before the answer."""


class Verdict(Enum):
    """What a failure means; the values are what the metric is labelled with."""

    RETRY = "again"
    """The transaction lost a race and left nothing: run the whole of it again."""
    UNAVAILABLE = "away"
    """The database cannot work now, and nothing was committed."""
    HEAVY = "heavy"
    """The same, but perhaps only for one command of a batch: others may be taken without it."""
    LOST = "lost"
    """Nobody knows whether it was committed."""
    TOO_LARGE = "too_large"
    """What was asked for is more than the database can put into one answer."""
    FAULT = "fault"
    """None of these: a defect, or data that the database cannot take. Nothing was committed."""


class Meaning(NamedTuple):
    """What a SQLSTATE, or a class of them, means."""

    verdict: Verdict
    """If it is PostgreSQL's answer to a statement."""
    words: str = ""
    """For people, if callers are told."""


_READ_ONLY: Final = "it is read-only"
_SCHEMA: Final = "its schema is not the one that this server needs"
_SHARED: Final = "a pooler shares the connections of this server"
_SHUT_DOWN: Final = "it is being shut down"
_OUT_OF_RESOURCES: Final = "it is out of resources"

MEANINGS: Final[Mapping[str, Meaning]] = MappingProxyType(
    {
        # A code, or the two letters of a class for those of its codes that are not here.
        "08": Meaning(Verdict.LOST, "the connection failed"),
        "0A000": Meaning(
            Verdict.UNAVAILABLE, "it is a standby"
        ),  # where SERIALIZABLE is not supported
        "23505": Meaning(Verdict.RETRY),  # another writer made the row that was not there before
        "25006": Meaning(Verdict.UNAVAILABLE, _READ_ONLY),
        "26000": Meaning(Verdict.UNAVAILABLE, _SHARED),  # invalid_sql_statement_name
        "25P03": Meaning(Verdict.UNAVAILABLE, "a transaction was idle for too long"),
        "25P04": Meaning(Verdict.UNAVAILABLE, "a transaction took too long"),
        "28": Meaning(Verdict.UNAVAILABLE, "it does not accept this server's credentials"),
        "3D000": Meaning(Verdict.UNAVAILABLE, "there is no database of this name"),
        "3F000": Meaning(Verdict.UNAVAILABLE, _SCHEMA),
        "40001": Meaning(Verdict.RETRY),  # serialization_failure
        "40003": Meaning(Verdict.LOST, "it does not know itself"),  # statement_completion_unknown
        "40P01": Meaning(Verdict.RETRY),  # deadlock_detected
        "42501": Meaning(Verdict.UNAVAILABLE, "this server's role lacks a privilege"),
        "42703": Meaning(Verdict.UNAVAILABLE, _SCHEMA),
        "42883": Meaning(Verdict.UNAVAILABLE, _SCHEMA),
        "42P01": Meaning(Verdict.UNAVAILABLE, _SCHEMA),
        "42P05": Meaning(Verdict.UNAVAILABLE, _SHARED),  # duplicate_prepared_statement
        "53": Meaning(Verdict.UNAVAILABLE, _OUT_OF_RESOURCES),
        "53100": Meaning(Verdict.UNAVAILABLE, "its disk is full"),
        "53200": Meaning(Verdict.HEAVY, "it is out of memory"),
        "53300": Meaning(Verdict.UNAVAILABLE, "it takes no more connections"),
        "53400": Meaning(Verdict.HEAVY, "a limit of its configuration is reached"),
        "54000": Meaning(Verdict.TOO_LARGE),
        "55P03": Meaning(Verdict.RETRY),  # lock_not_available
        "57014": Meaning(Verdict.HEAVY, "a statement took longer than it may"),
        "57P01": Meaning(Verdict.LOST, _SHUT_DOWN),
        "57P02": Meaning(Verdict.LOST, _SHUT_DOWN),
        "57P03": Meaning(Verdict.LOST, "it is starting or stopping"),
        "57P05": Meaning(Verdict.LOST, "a session was idle for too long"),
        "58": Meaning(Verdict.UNAVAILABLE, "its operating system failed"),
    }
)

SUSPICIOUS: Final = frozenset({"0A000", "25006", "26000", "42P05"})
"""What no session says that is what it was when it was set up."""
DISK_FULL: Final = "53100"
NOT_COMMITTED: Final = frozenset({"25P03", "25P04"})
"""Last words of a session that tell that its transaction had not come to its commit."""


class Failure(NamedTuple):
    """A failure, judged."""

    verdict: Verdict
    sqlstate: str
    """Empty where the driver or the network failed."""
    words: str
    """Why the database cannot work, for people; empty if it did not answer."""


def judge(error: BaseException, connecting: bool = False) -> Failure:
    """What a failure means, whether the driver, the network or PostgreSQL raised it."""
    sqlstate = sqlstate_of(error)
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return Failure(Verdict.RETRY, sqlstate, "")  # the schema changed under the statement
    phase = _phase_of(error)
    if connecting and phase is not None:
        phase = Phase.CONNECTING
    words = getattr(error, "why", "") or words_of(sqlstate)
    return Failure(verdict(sqlstate, phase), sqlstate, words)


def verdict(sqlstate: str, phase: Phase | None) -> Verdict:
    """The table: what a SQLSTATE means in a phase. No phase: the database had no part in it."""
    match phase:
        case None:
            return Verdict.FAULT
        case Phase.CONNECTING:
            return Verdict.UNAVAILABLE
        case Phase.BROKEN:
            return Verdict.UNAVAILABLE if sqlstate in NOT_COMMITTED else Verdict.LOST
        case Phase.REFUSED:
            return _meaning_of(sqlstate).verdict


def is_heavy(sqlstate: str) -> bool:
    """Whether a refused statement may have been too much for the database only as it was."""
    return verdict(sqlstate, Phase.REFUSED) is Verdict.HEAVY


def words_of(sqlstate: str) -> str:
    """Why the database cannot work, for people; empty where the driver or the network failed."""
    return (_meaning_of(sqlstate).words or "it refuses") if sqlstate else ""


def sqlstate_of(error: BaseException) -> str:
    """What PostgreSQL calls a failure; empty where the driver or the network failed.

    Of a connection that was closed it is PostgreSQL's last word, if there was one.
    """
    said = error.__cause__ if isinstance(error, asyncpg.ConnectionDoesNotExistError) else error
    return getattr(said, "sqlstate", None) or ""


def _phase_of(error: BaseException) -> Phase | None:
    # The driver's own word for a connection that ended, with PostgreSQL's last one as its cause.
    if isinstance(error, asyncpg.ConnectionDoesNotExistError):
        return Phase.BROKEN
    if isinstance(error, asyncpg.PostgresError):
        return Phase.REFUSED
    # A driver that finds its connection closed raises InterfaceError; one to which the server said
    # goodbye while it was idle, InternalClientError.
    broken = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)
    return Phase.BROKEN if isinstance(error, broken) else None


def _meaning_of(sqlstate: str) -> Meaning:
    known = MEANINGS.get(sqlstate) or MEANINGS.get(sqlstate[:2])
    return known or Meaning(Verdict.FAULT)
