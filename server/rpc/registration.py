"""Handlers as grpc knows them."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from server.rpc.call import Call, Context
from server.rpc.middleware import Handler, Middleware, wrap


def register(
    server: grpc.aio.Server,
    service: ServiceDescriptor,
    servicer: object,
    middleware: Sequence[Middleware],
) -> None:
    """Serve every method of a service by the method of `servicer` that has its name."""
    handlers = {
        method.name: _method_handler(service, method, getattr(servicer, method.name), middleware)
        for method in service.methods
    }
    generic = grpc.method_handlers_generic_handler(service.full_name, handlers)
    server.add_generic_rpc_handlers((generic,))


def _method_handler(
    service: ServiceDescriptor,
    method: MethodDescriptor,
    handler: Handler,
    middleware: Sequence[Middleware],
) -> "grpc.RpcMethodHandler[Any, Any]":
    name = f"/{service.full_name}/{method.name}"
    wrapped = wrap(handler, middleware)

    async def serve_unary(request: bytes, context: Context) -> bytes:
        try:
            answer: bytes = await wrapped(Call(name, context, request=request))
        except BaseException as error:
            del request, context
            raise without_frames(error) from None
        return answer

    async def serve_answers(request: bytes, context: Context) -> None:
        try:
            await wrapped(Call(name, context, request=request, write=context.write))
        except BaseException as error:
            del request, context
            raise without_frames(error) from None

    async def serve_stream(requests: AsyncIterator[bytes], context: Context) -> None:
        try:
            await wrapped(Call(name, context, stream=requests, write=context.write))
        except BaseException as error:
            del requests, context
            raise without_frames(error) from None

    # Without serializers grpc hands the bytes through.
    if method.client_streaming:
        return grpc.stream_stream_rpc_method_handler(serve_stream)
    if method.server_streaming:
        return grpc.unary_stream_rpc_method_handler(serve_answers)
    return grpc.unary_unary_rpc_method_handler(serve_unary)


def without_frames(error: BaseException) -> BaseException:
    """The error, and those before it, without their tracebacks.

    To be used where nobody will look at them any more. grpc keeps the error that a call ends with
    at the call, a task the one that it ends with, and the frames of a traceback know both: circles,
    which last until Python looks for them, with the request and its stream in them.
    """
    known: set[BaseException] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and each not in known:
            known.add(each)
            waiting += (each.__context__, each.__cause__)
            each.__traceback__ = None
    return error
