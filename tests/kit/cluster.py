"""PostgreSQL servers on ports of loopback: primaries, their standbys, and an address that moves."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Final

from server.embedded_postgres.cluster import NAME
from server.embedded_postgres.owner import Owner
from server.embedded_postgres.postmaster import PID_FILE, kill_processes, running_postmaster
from server.embedded_postgres.programs import Programs
from server.embedded_postgres.settings import render
from tests.kit.postgres import folder_for_postgres
from tests.kit.pristine import copy_pristine

ROLE: Final = NAME
"""A superuser, whose database has the same name."""
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

_SETTINGS: Final = MappingProxyType(
    {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "shared_buffers": "32MB",
        "max_connections": "100",
        "max_pred_locks_per_transaction": "512",
        "wal_keep_size": "64MB",
    }
)
_TRUST: Final = """
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
"""
_PORTS: Final = range(10_000, 32_768)
"""Below those that systems give to outgoing connections: one of these could have the port of a
server that is down for a moment."""


def free_port() -> int:
    """A port that nobody listens on now, and that nobody gets by chance."""
    while True:
        port = random.choice(_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Cluster:
    """A PostgreSQL that anybody on this machine may connect to."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.binaries = binaries
        self._programs = Programs(binaries, Owner.of(folder))

    @property
    def name(self) -> str:
        """What its primary calls it, if it is a standby."""
        return self.folder.name

    @property
    def dsn(self) -> str:
        """A superuser's."""
        return self.dsn_on(self.port)

    def dsn_on(self, port: int) -> str:
        """The same database by another port."""
        return f"postgresql://{ROLE}@127.0.0.1:{port}/{ROLE}"

    def start(self) -> None:
        """Have it run; what was killed recovers."""
        if running_postmaster(self.folder) is not None:
            return
        self.kill()  # backends may outlive their postmaster
        (self.folder / PID_FILE).unlink(missing_ok=True)
        # -t: a machine that is busy with other tests takes its time.
        self._ctl("start", "-t", "60", "-l", f"{self.folder}.log")

    def stop(self, mode: str = "fast") -> None:
        self._ctl("stop", "-m", mode)

    def promote(self) -> None:
        """Make a primary of a standby."""
        self._ctl("promote")

    def kill(self) -> None:
        """End it as a crash would."""
        kill_processes(self.folder)

    def make(self, settings: Mapping[str, str]) -> None:
        copy_pristine(self.binaries, self.folder)
        (self.folder / "pg_hba.conf").write_text(_TRUST)
        self._configure(settings)
        self.start()

    def copy(self, primary: "Cluster", settings: Mapping[str, str]) -> None:
        """Make it a standby."""
        source = f"{primary.dsn}?application_name={self.name}"
        base = ("--checkpoint=fast", "--write-recovery-conf", "--no-sync")
        self._programs.must_run("pg_basebackup", "-D", self.folder, "-d", source, *base)
        self._configure(settings)
        self.start()

    def _configure(self, settings: Mapping[str, str]) -> None:
        with (self.folder / "postgresql.conf").open("a") as file:
            file.write(render({**_SETTINGS, "port": str(self.port), **settings}))

    def _ctl(self, command: str, *options: str) -> None:
        self._programs.must_run("pg_ctl", command, "-D", self.folder, "-w", *options)


class Clusters:
    """Makes clusters in one folder, all of one version."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        self._binaries = binaries
        self._made: list[Cluster] = []

    def primary(self, settings: Mapping[str, str] = NOTHING) -> Cluster:
        made = self._next()
        made.make(settings)
        return made

    def standby(self, primary: Cluster, settings: Mapping[str, str] = NOTHING) -> Cluster:
        made = self._next()
        made.copy(primary, settings)
        return made

    def _next(self) -> Cluster:
        made = Cluster(self.folder / f"node{len(self._made)}", self._binaries)
        self._made.append(made)
        return made

    def end(self) -> None:
        for made in self._made:
            made.kill()


@contextmanager
def clusters(binaries: Path) -> Iterator[Clusters]:
    """Clusters, which are ended with the block."""
    with folder_for_postgres() as folder:
        owner = Owner.of(folder / "cluster")
        Programs(binaries, owner).make_runnable()
        owner.take(folder)
        owner.pass_through(folder)
        made = Clusters(folder, binaries)
        try:
            yield made
        finally:
            made.end()


class Address:
    """One address of loopback that leads to a server, and to another one from when it is told to.

    Connections that are open stay where they are, as with a virtual address that has moved.
    """

    def __init__(self, to: int) -> None:
        self.to = to
        self.port = 0

    async def start(self) -> asyncio.Server:
        listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        return listener

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def address_of(to: int) -> AsyncIterator[Address]:
    """An address that leads to a port, for as long as the block."""
    address = Address(to)
    async with await address.start():
        yield address
