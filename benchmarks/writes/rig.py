"""What the workloads of updates share: one PostgreSQL, and whatever updates it."""

import asyncio
import sys
from functools import cached_property
from pathlib import Path
from typing import Final

import asyncpg

from benchmarks import servers
from benchmarks.baselines.article import tables
from benchmarks.rig import Rig
from benchmarks.servers import Server
from benchmarks.writes import stored
from benchmarks.writes.driver_process import DriverProcess
from repository.migrations import migrate
from server.embedded_postgres import EmbeddedPostgres

ARTICLE: Final = "article"  # the name of its database


class WriteRig(Rig):
    """Starts everything on demand, on the PostgreSQL that Featom itself would run."""

    @cached_property
    def cluster(self) -> Path:
        """The folder in which PostgreSQL works."""
        return self.folder / "postgres"

    @cached_property
    def dsn(self) -> str:
        """A database of Featom that holds `aggregates` aggregates."""
        postgres = EmbeddedPostgres(self.cluster)
        postgres.start()
        self._stack.callback(postgres.stop)
        asyncio.run(_fill(postgres.dsn, self.aggregates))
        self.postgresql = asyncio.run(_version(postgres.dsn))
        return postgres.dsn

    @cached_property
    def article_dsn(self) -> str:
        """A database of the article's design that holds as many."""
        asyncio.run(_execute(self.dsn, f"CREATE DATABASE {ARTICLE}"))
        dsn = self.dsn.replace("@/featom", f"@/{ARTICLE}")
        asyncio.run(tables.load(dsn, self.aggregates))
        return dsn

    @cached_property
    def featom(self) -> Server:
        """A server on that database."""
        address = servers.free_address()
        server = servers.running(
            [str(Path(sys.executable).with_name("featom")), "serve"],
            {"FEATOM_LISTEN": address, "FEATOM_DSN": self.dsn},
            self.folder / f"{address}.log",
            lambda: servers.is_serving(address),
        )
        return Server(address, self._stack.enter_context(server))

    @cached_property
    def pipelines(self) -> list[DriverProcess]:
        """Two processes with a commit pipeline each."""
        return [self.drive("benchmarks.writes.pipeline_driver", self.dsn) for _ in range(2)]

    def article(self, build: str, connections: int) -> list[DriverProcess]:
        """A process that updates as the article does, in one of its two builds."""
        arguments = (build, self.article_dsn, str(connections))
        return [self.drive("benchmarks.baselines.article", *arguments)]

    def drive(self, module: str, *arguments: str) -> DriverProcess:
        """Start a driver; it ends with the rig."""
        return self._stack.enter_context(DriverProcess.started(module, *arguments))

    def execute(self, *commands: str) -> None:
        """Execute SQL, each command in a transaction of its own."""
        asyncio.run(_execute(self.dsn, *commands))

    def committed(self) -> int:
        """How many versions of aggregates were committed so far."""
        return asyncio.run(_committed(self.dsn))


async def _fill(dsn: str, aggregates: int) -> None:
    await migrate(dsn)
    await stored.load_aggregates(dsn, range(aggregates))
    await _execute(dsn, "VACUUM (ANALYZE)", "CHECKPOINT")


async def _execute(dsn: str, *commands: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for command in commands:
            await connection.execute(command)
    finally:
        await connection.close()


async def _committed(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        versions: int = await connection.fetchval("SELECT sum(version)::bigint FROM aggregates")
    finally:
        await connection.close()
    return versions


async def _version(dsn: str) -> str:
    connection = await asyncpg.connect(dsn)
    try:
        number: str = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    return number.split()[0]
