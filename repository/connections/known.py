"""Connections as a server keeps them: it knows which backend serves each, and may use it."""

from contextlib import suppress
from datetime import datetime
from typing import Any, Final, NamedTuple, Self

import asyncpg

from repository.connections.timeline import join_timeline
from repository.migrations.session import require_current

_OWN_BACKEND: Final = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"


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


class KnownConnection(asyncpg.Connection):  # generic for the type checker alone
    """A connection of which it is known which backend serves it."""

    backend: Backend
    epoch: int
    """That of the store since the connection is there; see timeline."""


async def get_to_know(build: int, connection: Any) -> None:
    """Before a new connection is used. Raises SchemaMismatch if the build is too old."""
    try:
        # A backfill may have begun while we were not seen: nothing of ours may be written after.
        await require_current(connection, build)
        (own,) = await connection.fetch(_OWN_BACKEND)
        await join_timeline(connection)
    except BaseException:
        # Or the driver takes leave of a database that may be gone, and waits for the answer.
        terminate(connection)
        raise
    connection.backend = Backend(*own)


async def leave_as_it_is(connection: object) -> None:
    """Nothing is ever set on a connection, so there is nothing to reset: a round trip saved."""


def terminate(connection: Any) -> None:
    """Let go of a connection, and wait for nothing."""
    # The driver has let go of a connection that it found broken, and then refuses the call.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()
