"""What a new connection finds out about the server and the session."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Self, TypeAlias

import asyncpg

from repository.sessions.refusals import OnStandby, SharedConnection
from repository.statements import SESSION

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TABLES: Final = ("aggregates", "changes", "requests", "store_epoch", "schema_window")
"""Tables that must be found in one schema. They need not be there yet."""
CRASH_SAFETY: Final = ("fsync", "full_page_writes")
"""Settings without which a crash of PostgreSQL's machine loses or damages what was committed."""


class Backend(NamedTuple):
    """PostgreSQL's process at the other end of a connection, told apart from all earlier ones."""

    pid: int
    started: datetime

    def __str__(self) -> str:
        """Its name for other servers."""
        return f"{self.pid} {self.started.isoformat()}"

    @classmethod
    def named(cls, name: str) -> Self:
        pid, _, started = name.partition(" ")
        return cls(int(pid), datetime.fromisoformat(started))


class Server(NamedTuple):
    """One run of one server on one line of history."""

    system_identifier: int
    """The cluster; its standbys and restored copies have the same one."""
    timeline: int
    """Raised when a standby is promoted; 0 on a standby."""
    started: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The answer to `describe`."""

    backend: Backend
    server: Server
    address: str
    """Of the server itself, also behind a pooler."""
    version: int
    """As server_version_num."""
    encoding: str
    in_recovery: bool
    read_only: bool
    synchronous_commit: str
    crash_unsafe: Sequence[str]
    """Those of CRASH_SAFETY that are off."""
    schemas: Sequence[str]
    """The schemas that our tables are found in, quoted."""

    @property
    def version_text(self) -> str:
        """The version as PostgreSQL's own releases are called, such as 18.4."""
        return f"{self.version // 10_000}.{self.version % 10_000}"


async def describe(session: Session) -> Facts:
    """Ask the server. Raises OnStandby or SharedConnection where it cannot be asked for that."""
    try:
        record: Any = await session.fetchrow(SESSION["describe"], TABLES, CRASH_SAFETY)
    except asyncpg.FeatureNotSupportedError as error:
        # All that PostgreSQL refuses of this on a standby: a SERIALIZABLE transaction.
        raise OnStandby(sqlstate=error.sqlstate) from error
    except PREPARED_ELSEWHERE as error:
        raise SharedConnection(sqlstate=error.sqlstate) from error
    pid, started, system_identifier, timeline, server_started, *_ = record
    return Facts(
        backend=Backend(pid, started),
        server=Server(system_identifier, int(timeline or "0", 16), server_started),
        address=record["address"],
        version=record["version"],
        encoding=record["encoding"],
        in_recovery=record["in_recovery"],
        read_only=record["read_only"],
        synchronous_commit=record["synchronous_commit"],
        crash_unsafe=record["crash_unsafe"],
        schemas=record["schemas"],
    )


PREPARED_ELSEWHERE: Final = (
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)
"""A prepared statement is not where it was prepared, or a stranger's has its name."""
