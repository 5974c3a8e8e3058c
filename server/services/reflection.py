"""Reflection, under both of its names, behind the same middleware as every other service.

grpc calls it `grpc.reflection.v1`, and `…v1alpha` before that: the same messages, to the byte. The
package of grpc for Python has v1alpha only, and finds no methods; both are mended here.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2 as pb
from grpc_reflection.v1alpha._async import ReflectionServicer

from server.rpc.call import Call
from server.rpc.decoding import Decoder
from server.rpc.stream_life import StreamLife

MAX_REQUEST_BYTES: Final = 1_024
"""Of a name, and a host; answers repeat the request."""

_POOL: Final[Any] = descriptor_pool.Default()


def _v1() -> Any:
    """What v1alpha became, made of it: its messages and its service under the other name."""
    alpha = FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(alpha)
    text = str(alpha).replace(alpha.package, "grpc.reflection.v1")
    file = text_format.Parse(text, FileDescriptorProto())
    file.name = "grpc/reflection/v1/reflection.proto"
    _POOL.AddSerializedFile(file.SerializeToString())
    return _POOL.FindServiceByName(f"{file.package}.ServerReflection")


SERVICES: Final[Sequence[ServiceDescriptor]] = (
    _v1(),
    _POOL.FindServiceByName("grpc.reflection.v1alpha.ServerReflection"),
)


class _PoolWithMethods:
    """The descriptors of this process; methods are found by name too, which Python's pool leaves
    out."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_POOL, name)

    def FindFileContainingSymbol(self, name: str) -> FileDescriptor:
        """Raises KeyError if there is nothing of this name."""
        file: FileDescriptor
        try:
            file = _POOL.FindFileContainingSymbol(name)
        except KeyError:
            file = _POOL.FindMethodByName(name).containing_service.file
        return file


class Reflection:
    """grpc's own servicer, called as the methods of `server.rpc.registration` are."""

    def __init__(self, names: Sequence[str], life: StreamLife) -> None:
        """Offer the services of these full names."""
        pool: Any = _PoolWithMethods()
        self._servicer = ReflectionServicer(names, pool)
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
