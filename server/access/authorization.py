"""The middleware that lets through only what is granted."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from domain.errors import PermissionDenied
from server.access.grants import Grants
from server.access.permissions import RPCS
from server.rpc.call import Call
from server.rpc.decoding import Decoder
from server.rpc.middleware import Handler, MessageHandler


class Authorization:
    """Compares what a request needs with what its principal is granted."""

    def __init__(self, grants: Callable[[], Grants], decode: Decoder) -> None:
        """`grants` is asked each time, as they may change."""
        self._grants = grants
        self._decode = decode

    def middleware(self, handler: Handler) -> Handler:
        """Around methods.

        A stream ends with the first message that is refused, unless `message_middleware` is around
        each of them: then that one alone is refused.
        """

        async def authorized(call: Call) -> Any:
            rpc = RPCS[call.method]
            if not rpc.by_message:
                request = self._decode(rpc.request, call.request)
                self._require(call.method, call.principal, request)
                call.stream = self._checked(call.method, call.principal, call.stream)
            return await handler(call)

        return authorized

    async def _checked(
        self, method: str, principal: str, stream: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        # It does not know its call, which knows it: a circle that would last, with the request.
        async for data in stream:
            self._require(method, principal, self._decode(RPCS[method].request, data))
            yield data

    def message_middleware(self, submit: MessageHandler) -> MessageHandler:
        """Around each message of a stream."""

        def authorized(call: Call, request: Any) -> "asyncio.Future[Any]":
            self._require(call.method, call.principal, request)
            return submit(call, request)

        return authorized

    def _require(self, method: str, principal: str, request: Any) -> None:
        """Raises PermissionDenied, naming everything that is refused."""
        needs = RPCS[method].needs(request)
        if refused := self._grants().refused(principal, needs):
            raise PermissionDenied([f"{need.permission} {need.entity_type}" for need in refused])
