"""Servers on one database that are killed, paused and started again, at the same addresses."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from tests.kit.program import FEATOM
from tests.kit.server_process import NO_SETTINGS, ServerProcess, running_server

UNEXPECTED: Final = re.compile(r"^.* (ERROR|CRITICAL) (?!grpc\._cython).*$", re.MULTILINE)
"""grpc itself calls it an error when a client has hung up before its answer came."""


@dataclass
class Fleet:
    """The servers, by number."""

    dsn: str
    command: Sequence[str] = FEATOM
    settings: Mapping[str, object] = field(default_factory=lambda: NO_SETTINGS)
    servers: list[ServerProcess] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """From the logs of servers that have ended: whatever nobody had expected."""
    _stacks: list[AsyncExitStack] = field(default_factory=list)

    @property
    def addresses(self) -> list[str]:
        return [server.address for server in self.servers]

    async def add(self, count: int) -> None:
        started = await asyncio.gather(*(self._start("127.0.0.1:0") for _ in range(count)))
        for server, stack in started:
            self.servers.append(server)
            self._stacks.append(stack)

    async def kill(self, number: int) -> None:
        """End a server as a crash would, and start it again."""
        await self.servers[number].kill()
        await self._replace(number)

    async def restart(self, number: int) -> None:
        """Let a server drain, as a rollout does, and start it again."""
        await self.servers[number].stop()
        await self._replace(number)

    async def pause(self, number: int, seconds: float) -> None:
        """Stop a server where it stands, and let it go on later."""
        self.servers[number].signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.servers[number].signal(signal.SIGCONT)

    async def close(self) -> None:
        while self._stacks:
            self._keep_complaint(len(self._stacks) - 1)
            await self._stacks.pop().aclose()

    async def _replace(self, number: int) -> None:
        self._keep_complaint(number)
        await self._stacks[number].aclose()
        address = self.servers[number].address
        self.servers[number], self._stacks[number] = await self._start(address)

    def _keep_complaint(self, number: int) -> None:
        log = self.servers[number].log.read_text(errors="replace")
        if found := UNEXPECTED.search(log):
            self.complaints.append(log[found.start() : found.start() + 4_000])

    async def _start(self, address: str) -> tuple[ServerProcess, AsyncExitStack]:
        stack = AsyncExitStack()
        server = await stack.enter_async_context(
            running_server(
                dsn=self.dsn, listen=address, command=self.command, settings=self.settings
            )
        )
        return server, stack


@asynccontextmanager
async def fleet(
    dsn: str,
    count: int = 2,
    command: Sequence[str] = FEATOM,
    settings: Mapping[str, object] = NO_SETTINGS,
) -> AsyncIterator[Fleet]:
    """Servers on one database, for as long as the block."""
    servers = Fleet(dsn, command, settings)
    try:
        await servers.add(count)
        yield servers
    finally:
        await servers.close()
