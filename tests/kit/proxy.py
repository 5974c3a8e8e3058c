"""A TCP proxy between servers and PostgreSQL, for everything that a network can do to them."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final
from urllib.parse import parse_qs, urlsplit

_CHUNK: Final = 65_536
_SERIALIZABLE: Final = re.compile(rb"default_transaction_isolation.*serializable", re.DOTALL)
_HEALTH: Final = b"featom health"
"""What a server tells PostgreSQL about a connection on which it commits; those that only show that
it could are named."""
_LINGER_NOT: Final = struct.pack("ii", 1, 0)


class Way(Enum):
    """Which way bytes go."""

    TO_DATABASE = auto()
    TO_SERVER = auto()


@dataclass(eq=False)
class _Link:
    """One connection through the proxy."""

    server: asyncio.StreamWriter
    database: asyncio.StreamWriter
    writes: bool = False
    """Whether it is one on which servers commit, and not one on which they only read."""
    for_health: bool = False
    abandoned: bool = False
    """The server has hung up."""
    open: dict[Way, asyncio.Event] = field(default_factory=dict)
    """Set while bytes may pass."""
    reset_after: dict[Way, int] = field(default_factory=dict)
    """Bytes that still pass before the connection is reset."""

    def __post_init__(self) -> None:
        for way in Way:
            self.open[way] = asyncio.Event()
            self.open[way].set()

    def reset(self) -> None:
        """End both sides at once, as a router that has forgotten them does."""
        for writer in (self.server, self.database):
            with suppress(OSError):
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            writer.transport.abort()
        for gate in self.open.values():
            gate.set()


class Proxy:
    """Passes bytes on, until told otherwise."""

    def __init__(self, dsn: str) -> None:
        self._target = urlsplit(dsn)
        self._links: set[_Link] = set()
        self._delay = 0.0
        self._closed_ways: set[Way] = set()
        self.dsn = ""
        """The same database, through the proxy."""

    def move_to(self, dsn: str) -> None:
        """Another database is behind the same address from now on; connections stay as they are."""
        self._target = urlsplit(dsn)

    async def start(self, port: int = 0) -> asyncio.Server:
        """Listen on a port, or on any that is free."""
        listener = await asyncio.start_server(self._accept, "127.0.0.1", port)
        port = listener.sockets[0].getsockname()[1]
        user = f"{self._target.username}@" if self._target.username else ""
        self.dsn = f"postgresql://{user}127.0.0.1:{port}{self._target.path}"
        return listener

    @property
    def has_abandoned(self) -> bool:
        """Whether there is still a connection on which the server has hung up."""
        return any(link.abandoned for link in self._links)

    @asynccontextmanager
    async def delay(self, seconds: float) -> AsyncIterator[None]:
        """Everything takes so much longer, each way."""
        self._delay = seconds
        try:
            yield
        finally:
            self._delay = 0.0

    @asynccontextmanager
    async def blackhole(
        self, way: Way, *, new_too: bool, writers_only: bool = False
    ) -> AsyncIterator[None]:
        """Bytes of one way do not arrive, those of the other do.

        Afterwards they do arrive, late, as TCP sends again what was lost, even when whoever sent
        them has hung up since. Connections that are made meanwhile pass unless `new_too`.
        """
        if new_too:
            self._closed_ways.add(way)
        caught = [link for link in self._links if link.writes or not writers_only]
        for link in caught:
            link.open[way].clear()
        try:
            yield
        finally:
            self._closed_ways.discard(way)
            for link in (*caught, *self._links):
                link.open[way].set()

    def reset_after(self, size: int, way: Way, *, writers_only: bool = False) -> None:
        """Every connection is reset when so many more bytes have gone one way."""
        for link in self._links:
            if link.writes or not writers_only:
                link.reset_after[way] = size

    def reset(self) -> None:
        """Every connection is reset now."""
        for link in list(self._links):
            link.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            database_reader, database_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, database_writer)
        for way in self._closed_ways:
            link.open[way].clear()
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pump(link, Way.TO_DATABASE, reader, database_writer),
                self._pump(link, Way.TO_SERVER, database_reader, writer),
            )
        except OSError:
            link.reset()
        finally:
            self._links.discard(link)
            writer.close()
            database_writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        query = parse_qs(self._target.query)
        port = int(query.get("port", [str(self._target.port or 5432)])[0])
        folder = query.get("host", [""])[0]
        if folder.startswith("/"):
            return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
        return await asyncio.open_connection(self._target.hostname, port)

    async def _pump(
        self, link: _Link, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_CHUNK):
            link.for_health = link.for_health or _HEALTH in data
            link.writes = link.writes or (bool(_SERIALIZABLE.search(data)) and not link.for_health)
            if self._delay:
                await asyncio.sleep(self._delay)
            await link.open[way].wait()
            left = link.reset_after.get(way)
            if left is not None:
                link.reset_after[way] = left - len(data)
                if len(data) >= left:
                    writer.write(data[:left])
                    with suppress(OSError):
                        await writer.drain()
                    link.reset()
                    return
            writer.write(data)
            await writer.drain()
        link.abandoned = link.abandoned or way is Way.TO_DATABASE
        await link.open[way].wait()
        if writer.can_write_eof():
            with suppress(OSError):
                writer.write_eof()


@asynccontextmanager
async def proxied(dsn: str) -> AsyncIterator[Proxy]:
    """A proxy before the database, for as long as the block."""
    proxy = Proxy(dsn)
    listener = await proxy.start()
    try:
        yield proxy
    finally:
        listener.close()
        proxy.reset()
