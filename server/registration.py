"""Handlers as grpc knows them."""

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from server.call import Call, Context
from server.stages import Handler, Stage, surround


def register(
    server: grpc.aio.Server, service: ServiceDescriptor, servicer: object, stages: Sequence[Stage]
) -> None:
    """Serve every method of a service by the method of `servicer` that has its name."""
    handlers = {
        method.name: _unary(
            f"/{service.full_name}/{method.name}",
            surround(getattr(servicer, method.name), stages),
        )
        for method in service.methods
    }
    generic = grpc.method_handlers_generic_handler(service.full_name, handlers)
    server.add_generic_rpc_handlers((generic,))


def _unary(method: str, handler: Handler) -> "grpc.RpcMethodHandler[Any, Any]":
    async def serve(request: bytes, context: Context) -> bytes:
        return await handler(Call(method, request, context))

    # Without serializers grpc hands the bytes through.
    return grpc.unary_unary_rpc_method_handler(serve)
