"""Whether the database can serve this build."""

import asyncio
from collections.abc import Iterator
from typing import Final

from domain.figures import Figure, FigureKind, Reading
from repository.connecting.connector import Connector
from repository.credentials.password import Password
from repository.migrations import window
from repository.migrations.revisions import revisions
from repository.migrations.session import Session, current_revisions, oldest_build

_TIMEOUT: Final = 2.0
"""Seconds that a check waits for a connection, and then for its answers."""


class PostgresProbe:
    """Implements DatabaseProbe of server.health, on a connection that nothing else uses."""

    def __init__(self, dsn: str | Connector, password: Password | None = None) -> None:
        self._connector = dsn if isinstance(dsn, Connector) else Connector(dsn, password)
        self._found: frozenset[str] = frozenset()
        self._connection: Session | None = None
        self._connecting: asyncio.Task[Session] | None = None

    async def check(self) -> None:
        connection = await self._connected()
        try:
            async with asyncio.timeout(_TIMEOUT):
                await self._check(connection)
        except BaseException:
            self._drop()
            raise

    async def close(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        self._drop()

    async def _connected(self) -> Session:
        """The connection. A new one takes the time of each host until one is found, which is more
        than a check may take; so it goes on while checks fail."""
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name="connecting to probe")
        done, _ = await asyncio.wait([self._connecting], timeout=_TIMEOUT)
        if not done:
            raise TimeoutError(f"no host has let us in for {_TIMEOUT:g} s")
        connecting, self._connecting = self._connecting, None
        return connecting.result()

    async def _connect(self) -> Session:
        # Migrations look who is there: this is how they count the servers of a build.
        name = window.health_session_name(window.BUILD)
        connection: Session = await self._connector.connect({"application_name": name})
        self._connection = connection
        return connection

    async def _check(self, connection: Session) -> None:
        self._found = found = await current_revisions(connection)
        oldest = await oldest_build(connection)
        if misfit := revisions().misfit(found, oldest, window.BUILD):
            raise window.SchemaMismatch(misfit)

    def figures(self) -> Iterator[Figure]:
        """See domain.figures.FigureSource."""
        yield Figure(
            "featom_schema_info",
            "1 for each revision that the database was last seen at.",
            FigureKind.GAUGE,
            [Reading({"revision": revision}, 1) for revision in sorted(self._found)],
        )

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
