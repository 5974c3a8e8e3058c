"""The middleware that bounds how many bytes of requests may be in the server at a time.

Their number is bounded where they wait; large ones would still fill the memory.
"""

import asyncio
from typing import Any

from domain.errors import Overloaded
from server.rpc.call import Call
from server.rpc.middleware import Handler, MessageHandler


class WaitingBytes:
    """Counts the bytes of requests that are not answered yet."""

    def __init__(self, limit: int) -> None:
        self.waiting = 0
        self._limit = limit

    def middleware(self, handler: Handler) -> Handler:
        """Around methods; a stream counts nothing: its messages do."""

        async def bounded(call: Call) -> Any:
            size = len(call.request)
            self._take(size)
            try:
                return await handler(call)
            finally:
                self.waiting -= size

        return bounded

    def message_middleware(self, submit: MessageHandler) -> MessageHandler:
        """Around each message of a stream."""

        def bounded(call: Call, request: Any) -> "asyncio.Future[Any]":
            size = request.ByteSize()
            self._take(size)
            try:
                future = submit(call, request)
            except BaseException:
                self.waiting -= size
                raise
            future.add_done_callback(lambda _: self._give_back(size))
            return future

        return bounded

    def _take(self, size: int) -> None:
        if self.waiting + size > self._limit:
            raise Overloaded("More bytes of requests are waiting than may wait.")
        self.waiting += size

    def _give_back(self, size: int) -> None:
        self.waiting -= size
