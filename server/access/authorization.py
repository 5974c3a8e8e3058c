"""The stages that let through only what is granted."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from domain.errors import PermissionDenied
from server.access.grants import Grants
from server.access.needs import RPCS
from server.call import Call
from server.decoding import Decoder
from server.stages import Handler, MessageHandler


class Authorization:
    """Compares what a request needs with what its principal is granted."""

    def __init__(self, grants: Callable[[], Grants], decode: Decoder) -> None:
        """`grants` is asked each time, as they may change."""
        self._grants = grants
        self._decode = decode

    def stage(self, handler: Handler) -> Handler:
        """Around methods.

        A stream ends with the first message that is refused, unless `message_stage` is around each
        of them: then that one alone is refused.
        """

        async def authorized(call: Call) -> Any:
            rpc = RPCS[call.method]
            if not rpc.by_message:
                self._require(call, self._decode(rpc.request, call.request))
                call.stream = self._checked(call, call.stream)
            return await handler(call)

        return authorized

    async def _checked(self, call: Call, stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for data in stream:
            self._require(call, self._decode(RPCS[call.method].request, data))
            yield data

    def message_stage(self, submit: MessageHandler) -> MessageHandler:
        """Around each message of a stream."""

        def authorized(call: Call, request: Any) -> "asyncio.Future[Any]":
            self._require(call, request)
            return submit(call, request)

        return authorized

    def _require(self, call: Call, request: Any) -> None:
        """Raises PermissionDenied, naming everything that is refused."""
        needs = RPCS[call.method].needs(request)
        if refused := self._grants().refused(call.principal, needs):
            raise PermissionDenied([f"{need.permission} {need.entity_type}" for need in refused])
