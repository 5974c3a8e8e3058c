"""One address in front of several servers, as a Service with a cluster IP is.

Each new connection goes to one of the servers that are ready, and stays there.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Final

_CHUNK: Final = 65_536


class OneAddress:
    """Passes connections on to the servers that are ready."""

    def __init__(self) -> None:
        self.ready: list[str] = []
        self.address = ""
        self._turn = count()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until one side ends it."""
        with suppress(OSError):
            host, _, port = self.ready[next(self._turn) % len(self.ready)].rpartition(":")
            there_reader, there_writer = await asyncio.open_connection(host, int(port))
            with suppress(OSError):
                await asyncio.gather(_pass(reader, there_writer), _pass(there_reader, writer))
            there_writer.close()
        writer.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def one_address(*servers: str) -> AsyncIterator[OneAddress]:
    """The address, for as long as the block."""
    made = OneAddress()
    made.ready += servers
    listener = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    made.address = f"127.0.0.1:{port}"
    try:
        yield made
    finally:
        listener.close()
