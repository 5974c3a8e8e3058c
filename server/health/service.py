"""The HealthService of grpc, in which nobody waits for a client but the one who serves it.

It is open to strangers, so it takes small messages only, and so many watches: docs/adr/0044.
"""

import asyncio
from contextlib import suppress
from typing import Any, Final

from grpc_health.v1 import health_pb2 as pb

from domain.errors import FieldViolation, InvalidValue, ServiceNotFound
from server.health.statuses import Statuses
from server.health.watch_limits import Watches
from server.rpc.call import Call
from server.rpc.decoding import Decoder
from server.rpc.options import MAX_HEALTH_REQUEST_BYTES
from server.rpc.stream_life import StreamLife

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
