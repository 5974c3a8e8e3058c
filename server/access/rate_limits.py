"""The middleware that lets one principal call so often and no more."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from domain.errors import RateExceeded
from server.rpc.call import Call
from server.rpc.middleware import Handler, MessageHandler

_MAX_REMEMBERED: Final = 10_000


class RateLimits:
    """A bucket of tokens for each principal: it holds those of one second, and fills steadily."""

    def __init__(self, calls_a_second: int, now: Callable[[], float]) -> None:
        self._rate = calls_a_second
        self._now = now
        # When the bucket of a principal will be full again; who is not in here has a full one.
        self._full_at: dict[str, float] = {}

    def take(self, principal: str) -> None:
        """Take one token. Raises RateExceeded if there is none."""
        now = self._now()
        full_at = max(self._full_at.get(principal, 0.0), now) + 1 / self._rate
        if full_at > now + 1:
            raise RateExceeded(self._rate, full_at - now - 1)
        if len(self._full_at) >= _MAX_REMEMBERED and principal not in self._full_at:
            self._forget_the_full(now)
        self._full_at[principal] = full_at

    def middleware(self, handler: Handler) -> Handler:
        """Around methods; a stream itself costs one call, and each of its messages another."""

        async def within_rate(call: Call) -> Any:
            self.take(call.principal)
            return await handler(call)

        return within_rate

    def message_middleware(self, submit: MessageHandler) -> MessageHandler:
        """Around each message of a stream."""

        def within_rate(call: Call, request: Any) -> "asyncio.Future[Any]":
            self.take(call.principal)
            return submit(call, request)

        return within_rate

    def _forget_the_full(self, now: float) -> None:
        self._full_at = {name: at for name, at in self._full_at.items() if at > now}
