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
"""Seconds that a check takes at most, on a connection that is there."""


class PostgresProbe:
    """Implements DatabaseProbe of server.health, on a connection that nothing else uses."""

    def __init__(self, dsn: str | Connector, password: Password | None = None) -> None:
        self._connector = dsn if isinstance(dsn, Connector) else Connector(dsn, password)
        self._found: frozenset[str] = frozenset()
        self._connection: Session | None = None

    async def check(self) -> None:
        try:
            connection = await self._connected()
            async with asyncio.timeout(_TIMEOUT):
                await self._check(connection)
        except BaseException:
            self._drop()
            raise

    async def close(self) -> None:
        self._drop()

    async def _connected(self) -> Session:
        """The connection; a new one may take the time of each host until one is found."""
        if self._connection is None or self._connection.is_closed():
            # Migrations look who is there: this is how they count the servers of a build.
            name = window.health_session_name(window.BUILD)
            self._connection = await self._connector.connect({"application_name": name})
        return self._connection

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
