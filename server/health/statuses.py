"""What is said of the health of each service, and how those who watch hear of a change."""

import asyncio
from collections.abc import Mapping


class Statuses:
    """A status for each name. Who sets one waits for nobody.

    Watchers come to look by themselves: one that is slow finds the latest status, and misses those
    in between.
    """

    def __init__(self) -> None:
        self.ended = False
        """Whether nobody should watch any longer."""
        self._statuses: dict[str, int] = {}
        self._next_change = asyncio.Event()

    @property
    def next_change(self) -> asyncio.Event:
        """Set at the next change; to be taken before one looks, so that none is missed."""
        return self._next_change

    def of(self, name: str) -> int | None:
        """None: there is no such service."""
        return self._statuses.get(name)

    def set(self, statuses: Mapping[str, int]) -> None:
        """Say these from now on."""
        self._statuses.update(statuses)
        self._wake()

    def end(self) -> None:
        """Let go of who watches, once each has been told the latest."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        self._next_change.set()
        self._next_change = asyncio.Event()
