"""How long a stream lasts, and how much longer its connection.

gRPC tells a handler nothing when its connection reaches its age: it cuts what is left after a
grace. So each stream ends itself with DRAINING before that, wherever in the life of its connection
it began: docs/adr/0083.
"""

import asyncio
import random
from contextlib import suppress
from typing import Final

from domain.errors import Draining

# gRPC asks the client of a connection to leave at 0.9 to 1.1 times its age. A stream lives longer:
# what comes after it is then begun on another connection.
_SHORTEST: Final = 1.15
_LONGEST: Final = 1.25
_ANSWERING: Final = 30.0
"""Seconds in which a stream answers what it has read; no more than the age of a connection."""


class StreamLife:
    """When the streams of a server end: all when it drains, and each after a time of its own."""

    def __init__(self, connection_age: float) -> None:
        """`connection_age` in seconds."""
        self._age = connection_age
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """All streams end from now on."""
        self._draining.set()

    def seconds(self) -> float:
        """How long a stream that begins now lasts; not the same for all, or all would come back
        at once."""
        return self._age * random.uniform(_SHORTEST, _LONGEST)  # noqa: S311

    async def over(self) -> None:
        """Return when a stream that begins now has to end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.seconds()):
                await self._draining.wait()

    def why_over(self) -> Draining:
        """What the client of a stream is told."""
        if self._draining.is_set():
            return Draining()
        return Draining("The stream has lasted as long as streams do; begin another one.")


def grace(connection_age: float) -> float:
    """Seconds that gRPC must leave a connection after its age, so that it cuts no stream that is
    read from."""
    return connection_age * _LONGEST + min(connection_age, _ANSWERING)
