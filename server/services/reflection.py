"""Reflection behind the same middleware as every other service."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from grpc_reflection.v1alpha import reflection_pb2 as pb
from grpc_reflection.v1alpha._async import ReflectionServicer

from server.rpc.call import Call
from server.rpc.decoding import Decoder
from server.rpc.stream_life import StreamLife

MAX_REQUEST_BYTES: Final = 1_024
"""Of a name, and a host; answers repeat the request."""

SERVICE: Final[Any] = pb.DESCRIPTOR.services_by_name["ServerReflection"]


class Reflection:
    """grpc's own servicer, called as the methods of `server.rpc.registration` are."""

    def __init__(self, names: Sequence[str], life: StreamLife) -> None:
        """Offer the services of these full names."""
        self._servicer = ReflectionServicer(names)
        self._life = life
        self._decode = Decoder(MAX_REQUEST_BYTES)

    async def ServerReflectionInfo(self, call: Call) -> None:
        answering = asyncio.ensure_future(self._answer(call))
        over = asyncio.ensure_future(self._life.over())
        try:
            await asyncio.wait((answering, over), return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                return answering.result()
        finally:
            answering.cancel()
            over.cancel()
        raise self._life.why_over()

    async def _answer(self, call: Call) -> None:
        # The stubs take its asynchronous generator for a coroutine.
        answers: Any = self._servicer.ServerReflectionInfo(self._requests(call), call.context)
        async for answer in answers:
            await call.context.write(answer.SerializeToString())

    async def _requests(self, call: Call) -> AsyncIterator[pb.ServerReflectionRequest]:
        async for data in call.stream:
            yield self._decode(pb.ServerReflectionRequest, data)
