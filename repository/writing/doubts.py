"""Batches whose commit got no answer, and what became of them (ADR 15)."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from domain.entity_key import EntityKey
from repository.connections.pool import Pool
from repository.sessions.facts import Backend
from repository.statements import WRITE
from repository.supervision import supervised
from repository.writing.submission import Doubt, Submission

log = logging.getLogger(__name__)

_CLOCK_SLACK: Final = timedelta(minutes=5)
"""How far the clocks of a primary and of the standby that takes over may be apart."""
_ENDING_MS: Final = 200
_PAUSE: Final = 1.0
"""Seconds between two tries."""
CLOSING: Final = 2.0
"""Seconds that `Doubts.close` takes at most."""


class StillInDoubt(Exception):
    """A batch about some keys may be committed yet: nothing can be done for these now."""

    def __init__(self, keys: frozenset[EntityKey]) -> None:
        super().__init__(f"a backend that was sent a batch about {len(keys)} keys does not end")
        self.keys = keys


class Doubts:
    """Remembers what was sent a batch and gave no answer, and ends it, whoever waits for that."""

    def __init__(self, readers: Pool) -> None:
        """`readers` are READ COMMITTED."""
        self._readers = readers
        self._backends: dict[Backend, frozenset[EntityKey]] = {}
        self._ending: asyncio.Task[None] | None = None
        self._closing = False

    def note(self, backend: Backend | None, keys: Iterable[EntityKey]) -> None:
        """A backend may still be working on a batch about these keys, or be about to get it."""
        if backend is None:
            return
        self._backends[backend] = self._backends.get(backend, frozenset()).union(keys)
        if self._ending is None or self._ending.done():
            self._ending = supervised("ending backends", self._end_all)

    async def decide(self, keys: Iterable[EntityKey]) -> None:
        """See to it that no batch about any of these keys is in doubt: from then on it is
        committed or never will be.

        Raises StillInDoubt for those of which that cannot be had now, or DatabaseUnavailable.
        """
        if not self._backends:
            return
        keys = frozenset(keys)
        in_doubt: frozenset[EntityKey] = frozenset()
        for backend, doubted in list(self._backends.items()):
            if not keys.isdisjoint(doubted) and not await self._end(backend):
                in_doubt |= doubted
        if in_doubt:
            raise StillInDoubt(in_doubt)

    async def committed(self, submission: Submission) -> Doubt | None:
        """The doubt about a command that turned out to be committed."""
        types, ids = zip(*submission.keys, strict=True)
        for doubt in submission.doubts:
            since = doubt.begun - _CLOCK_SLACK
            if await self._readers.read(WRITE["find_batch"], types, ids, doubt.batch_id, since):
                return doubt
        return None

    async def close(self) -> None:
        """Try once more to end those that are left, but not for long."""
        self._closing = True
        if self._ending is not None:
            await asyncio.wait([self._ending], timeout=CLOSING)

    async def _end_all(self) -> None:
        while self._backends:
            for backend in list(self._backends):
                try:
                    if not await self._end(backend):
                        log.info("a backend that gave no answer does not end yet")
                except Exception as error:
                    log.info("a backend that gave no answer is not ended yet: %r", error)
            if self._closing:
                return
            if self._backends:
                await asyncio.sleep(_PAUSE)

    async def _end(self, backend: Backend) -> bool:
        """Whether a backend is gone."""
        ended = await self._readers.read(WRITE["end_backend"], *backend, _ENDING_MS)
        if not all(gone for (gone,) in ended):
            return False
        self._backends.pop(backend, None)
        return True
