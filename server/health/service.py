"""The HealthService of grpc, in which nobody waits for a client but the one who serves it.

It is open to strangers, so it takes small messages only, and so many watches: docs/adr/0044. On a
second port it stands alone: probes of Kubernetes speak no TLS, and come from the node, not from a
client, so that port may be open where the one of clients must not be.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2 as pb

from domain.errors import FieldViolation, InvalidValue, Overloaded, ServiceNotFound
from server.rpc.call import Call
from server.rpc.decoding import Decoder
from server.rpc.listening import MAX_HEALTH_REQUEST_BYTES, Options, listen
from server.rpc.middleware import with_errors
from server.rpc.registration import register
from server.rpc.stream_life import StreamLife

log = logging.getLogger(__name__)


class Statuses:
    """A status for each name. Who sets one waits for nobody.

    Watchers come to look by themselves: one that is slow finds the latest status, and misses those
    in between.
    """

    def __init__(self) -> None:
        self.ended = False
        """Whether nobody should watch any longer."""
        self._statuses: dict[str, int] = {}
        self._next_change = asyncio.Event()

    @property
    def next_change(self) -> asyncio.Event:
        """Set at the next change; to be taken before one looks, so that none is missed."""
        return self._next_change

    def of(self, name: str) -> int | None:
        """None: there is no such service."""
        return self._statuses.get(name)

    def set(self, statuses: Mapping[str, int]) -> None:
        """Say these from now on."""
        self._statuses.update(statuses)
        self._wake()

    def end(self) -> None:
        """Let go of who watches, once each has been told the latest."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        self._next_change.set()
        self._next_change = asyncio.Event()


MAX_WATCHES: Final = 4_000
"""Each takes about 24 KiB, most of it grpc's."""
MAX_PER_PEER: Final = 100
"""A client that balances has one for each connection; proxies have several clients behind one."""


class Watches:
    """Counts those that last, of all and of each peer: nobody alone may take the room of all."""

    def __init__(self, most: int = MAX_WATCHES, most_per_peer: int = MAX_PER_PEER) -> None:
        self._most = most
        self._most_per_peer = most_per_peer
        self._watching = 0
        self._of_peers: Counter[str] = Counter()

    @contextmanager
    def one_more(self, peer: str) -> Iterator[None]:
        """Count one for as long as the block lasts. Raises Overloaded if there is no room."""
        if self._watching >= self._most or self._of_peers[peer] >= self._most_per_peer:
            raise Overloaded("More watch the health of this server than may watch.")
        self._watching += 1
        self._of_peers[peer] += 1
        try:
            yield
        finally:
            self._watching -= 1
            self._of_peers[peer] -= 1
            if not self._of_peers[peer]:
                del self._of_peers[peer]


SERVICE: Final[Any] = pb.DESCRIPTOR.services_by_name["Health"]

MAX_NAME_BYTES: Final = 256


class HealthService:
    """The methods of `grpc.health.v1.Health`, called as those of `server.rpc.registration` are."""

    def __init__(self, statuses: Statuses, watches: Watches, life: StreamLife) -> None:
        self._statuses = statuses
        self._watches = watches
        self._life = life
        self._decode = Decoder(MAX_HEALTH_REQUEST_BYTES)

    async def Check(self, call: Call) -> bytes:
        status = self._statuses.of(self._name_in(call))
        if status is None:
            raise ServiceNotFound
        return _answer(status)

    async def Watch(self, call: Call) -> None:
        name = self._name_in(call)
        with self._watches.one_more(call.context.peer()), suppress(TimeoutError):
            async with asyncio.timeout(self._life.seconds()):
                await self._tell(call, name)
        raise self._life.why_over()

    async def _tell(self, call: Call, name: str) -> None:
        """Tell each status that the client is fast enough for, until watching ends."""
        told = None
        while True:
            change = self._statuses.next_change
            status = self._statuses.of(name)
            if status is None:
                status = pb.HealthCheckResponse.SERVICE_UNKNOWN
            if status != told:
                await call.write(_answer(status))
                told = status
            elif self._statuses.ended:
                return
            else:
                await change.wait()

    def _name_in(self, call: Call) -> str:
        name: str = self._decode(pb.HealthCheckRequest, call.request).service
        if len(name.encode()) > MAX_NAME_BYTES:
            description = f"must have at most {MAX_NAME_BYTES} bytes"
            raise InvalidValue([FieldViolation("service", description)])
        return name


def _answer(status: int) -> bytes:
    return pb.HealthCheckResponse(status=status).SerializeToString()


@asynccontextmanager
async def serving_health(
    service: HealthService, address: str | None, options: Options
) -> AsyncIterator[None]:
    """Serve health in plaintext on `address` during the block; without an address, do nothing.

    Raises SettingsRefused if the port cannot be had.
    """
    if address is None:
        yield
        return
    server = grpc.aio.server(options=options)
    register(server, SERVICE, service, (with_errors,))
    port = listen(server, address)
    await server.start()
    log.info("health on %s:%d", address.rpartition(":")[0], port)
    try:
        yield
    finally:
        await server.stop(None)
