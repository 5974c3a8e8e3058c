"""Whether the database can serve this build."""

import asyncio
from collections.abc import Iterator
from typing import Final

import asyncpg

from domain.figures import Figure, FigureKind, Reading
from repository.credentials.password import Password
from repository.migrations import window
from repository.migrations.revisions import revisions
from repository.migrations.session import current_revisions, oldest_build

_TIMEOUT: Final = 2.0
"""Seconds that a check takes at most."""


class PostgresProbe:
    """Implements DatabaseProbe of server.health, on a connection that nothing else uses."""

    def __init__(self, dsn: str, password: Password | None = None) -> None:
        self._dsn = dsn
        self._password = password
        self._found: frozenset[str] = frozenset()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def check(self) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                await self._check()
        except BaseException:
            self._drop()
            raise

    async def close(self) -> None:
        self._drop()

    async def _check(self) -> None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                self._dsn,
                password=self._password,
                # Migrations look who is there: this is how they count the servers of a build.
                server_settings={"application_name": window.health_session_name(window.BUILD)},
            )
        self._found = found = await current_revisions(self._connection)
        oldest = await oldest_build(self._connection)
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
