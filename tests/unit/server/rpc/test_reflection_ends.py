"""A stream of reflection ends when the server drains, though its client asks nothing more."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.errors import Draining
from server.rpc.stream_life import StreamLife
from server.services.reflection import Reflection


class SilentCall:
    """A client that has opened a stream, and says nothing."""

    context: Any = None

    def __init__(self) -> None:
        self.stream = self._messages()
        self.is_read = asyncio.Event()

    async def _messages(self) -> AsyncIterator[bytes]:
        self.is_read.set()
        await asyncio.Event().wait()
        yield b""


async def test_a_drain_ends_a_stream_that_is_idle() -> None:
    life = StreamLife(60)
    call: Any = SilentCall()
    asking = asyncio.create_task(Reflection([], life).ServerReflectionInfo(call))
    await call.is_read.wait()
    life.drain()
    with pytest.raises(Draining):
        async with asyncio.timeout(10):
            await asking
