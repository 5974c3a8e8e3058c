"""Servers as processes, started and ended while traffic in this process goes on."""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.kit.program import FEATOM, started
from tests.kit.roles import as_app_role
from tests.kit.serving import SERVING_ON

ROOT: Final = Path(__file__).parents[2]
NO_SETTINGS: Final[Mapping[str, object]] = MappingProxyType({})
START_SECONDS: Final = 100.0
STOP_SECONDS: Final = 100.0


class NotServing(Exception):
    """The server did not start; the message ends with what it said."""


@dataclass(frozen=True)
class ServerProcess:
    """A server that runs, until the block ends or somebody ends it."""

    address: str
    process: asyncio.subprocess.Process
    log: Path
    descriptors_at_first: int = 0
    """How many files and sockets it had open when it was ready."""

    def signal(self, number: signal.Signals) -> None:
        if self.process.returncode is None:
            self.process.send_signal(number)

    async def kill(self) -> None:
        """End the server as a crash would."""
        self.signal(signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """Let the server drain; returns its exit code."""
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await self.process.wait()
        except TimeoutError:
            await self.kill()
            raise

    def descriptors(self) -> int:
        """How many files and sockets the process has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def said(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


@asynccontextmanager
async def running_servers(
    count: int,
    dsn: str,
    command: Sequence[str] = FEATOM,
    settings: Mapping[str, object] = NO_SETTINGS,
) -> AsyncIterator[list[ServerProcess]]:
    """Servers on one database, started at the same time. As `running_server`."""
    async with AsyncExitStack() as stack:
        entering = (
            stack.enter_async_context(running_server(dsn=dsn, command=command, settings=settings))
            for _ in range(count)
        )
        yield list(await asyncio.gather(*entering))


@asynccontextmanager
async def running_server(
    *,
    dsn: str | None = None,
    data_dir: Path | None = None,
    listen: str = "127.0.0.1:0",
    command: Sequence[str] = FEATOM,
    settings: Mapping[str, object] = NO_SETTINGS,
) -> AsyncIterator[ServerProcess]:
    """Serve `dsn`, or a PostgreSQL of the server's own in `data_dir`, for as long as the block.

    On `dsn` it has the role of servers. `settings` are those of server.settings, by name. The block
    begins when the server is ready.
    Raises NotServing.
    """
    database = dsn and as_app_role(dsn)
    environment = _environment(
        {"listen": listen, "dsn": database, "data_dir": data_dir} | dict(settings)
    )
    with tempfile.TemporaryDirectory(prefix="featom-server-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *started(command, environment),
                "serve",
                cwd=ROOT,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # In a session of its own, so that Ctrl-C reaches it only through us.
                start_new_session=True,
            )
        server = ServerProcess("", process, log)
        try:
            server = ServerProcess(await _address(server), process, log)
            await wait_until_ready(server)
            server = replace(server, descriptors_at_first=server.descriptors())
            yield server
        finally:
            await server.stop()


async def wait_until_ready(server: ServerProcess) -> None:
    """Return once the server says that it is ready. Raises NotServing."""
    deadline = time.monotonic() + START_SECONDS
    async with grpc.aio.insecure_channel(server.address) as channel:
        while time.monotonic() < deadline and server.process.returncode is None:
            if await health_of(channel, "readiness") == "SERVING":
                return
            await asyncio.sleep(0.05)
    raise NotServing(f"not ready; its last words:\n{server.said()}")


async def health_of(channel: grpc.aio.Channel, service: str) -> str:
    """What the server says of a service: SERVING, NOT_SERVING, or "" if it says nothing."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=2)
    except grpc.aio.AioRpcError:
        return ""
    name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return name


async def _address(server: ServerProcess) -> str:
    """The address that the server says it listens on."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.returncode is None:
        if found := SERVING_ON.search(server.log.read_text(errors="replace")):
            return found[1]
        await asyncio.sleep(0.02)
    raise NotServing(f"{server.process.returncode=}; its last words:\n{server.said()}")


def _environment(settings: dict[str, object]) -> dict[str, str]:
    """The environment of this process, with no other settings of a server than these."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("FEATOM_")}
    given = {f"FEATOM_{name.upper()}": value for name, value in settings.items()}
    return inherited | {name: str(value) for name, value in given.items() if value is not None}
