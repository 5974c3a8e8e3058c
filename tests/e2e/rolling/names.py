"""A name server as clients of a cluster have it: it knows which pods are ready, and answers late.

It speaks as much of RFC 1035 as a client asks that looks for the addresses of one name.
"""

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import Final, cast

_HEADER: Final = struct.Struct("!HHHHHH")
_ANSWER: Final = struct.Struct("!HHHIH4s")
_IS_ANSWER: Final = 0x8580
"""An authoritative answer, with recursion asked for and available."""
_NO_SUCH_NAME: Final = 3
_NAME_OF_THE_QUESTION: Final = 0xC00C
_A: Final = 1
_INTERNET: Final = 1


class CachingNames(asyncio.DatagramProtocol):
    """Answers every question for addresses with those of the pods that were ready a while ago."""

    def __init__(self, cached_seconds: float) -> None:
        """What was answered once is answered again for so long, as CoreDNS' cache does."""
        self.ready: set[str] = set()
        self.asked = 0
        self.port = 0
        self._cached_seconds = cached_seconds
        self._cached: tuple[str, ...] = ()
        self._cached_at = -cached_seconds
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        assert self._transport is not None
        self.asked += 1
        self._transport.sendto(self._answer(data), sender)

    def _answer(self, question: bytes) -> bytes:
        identity, *_ = _HEADER.unpack_from(question)
        end = question.index(b"\0", _HEADER.size) + 5
        kind, _ = struct.unpack_from("!HH", question, end - 4)
        addresses = self._addresses()
        found = addresses if kind == _A else ()
        flags = _IS_ANSWER if addresses else _IS_ANSWER | _NO_SUCH_NAME
        header = _HEADER.pack(identity, flags, 1, len(found), 0, 0)
        return header + question[_HEADER.size : end] + b"".join(map(self._record, found))

    def _addresses(self) -> tuple[str, ...]:
        now = time.monotonic()
        if now - self._cached_at >= self._cached_seconds:
            self._cached, self._cached_at = tuple(sorted(self.ready)), now
        return self._cached

    def _record(self, address: str) -> bytes:
        lives = max(1, round(self._cached_seconds))
        packed = IPv4Address(address).packed
        return _ANSWER.pack(_NAME_OF_THE_QUESTION, _A, _INTERNET, lives, len(packed), packed)


@asynccontextmanager
async def caching_names(cached_seconds: float) -> AsyncIterator[CachingNames]:
    """A name server on loopback for as long as the block."""
    transport, names = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: CachingNames(cached_seconds), local_addr=("127.0.0.1", 0)
    )
    try:
        yield names
    finally:
        transport.close()
