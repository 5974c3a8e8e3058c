"""Whether the database can serve this build."""

import asyncio
from collections.abc import Iterator

import asyncpg

from domain.figures import Figure, FigureKind, Reading
from repository.migrations import current_revisions, known_revisions, newest_revisions
from repository.password import Password


class SchemaMismatch(Exception):
    """The schema of the database is not one that this build works with."""


class PostgresProbe:
    """Implements DatabaseProbe of server.health, on a connection that nothing else uses."""

    def __init__(self, dsn: str, password: Password | None = None, *, timeout: float = 2.0) -> None:
        """A check takes `timeout` seconds at most."""
        self._dsn = dsn
        self._password = password
        self._timeout = timeout
        self._needed = newest_revisions()
        self._known = known_revisions()
        self._found: frozenset[str] = frozenset()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    async def check(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
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
                server_settings={"application_name": "featom health"},
            )
        self._found = found = await current_revisions(self._connection)
        # A revision that this build does not know is newer: servers that run go on serving while
        # the next build's migration has come before it.
        if not found >= self._needed and found <= self._known:
            have = ", ".join(sorted(found)) or "no schema"
            need = ", ".join(sorted(self._needed))
            raise SchemaMismatch(f"the database has {have}, `featom migrate` makes it {need}")

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
