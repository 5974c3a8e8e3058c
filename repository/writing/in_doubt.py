"""Batches whose commit got no answer, and what became of them (ADR 15, ADR 70)."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final

from domain.entity_key import EntityKey
from repository.connections.commits_in_doubt import CommitsInDoubt
from repository.connections.isolation import ReadCommittedPool
from repository.sessions.facts import Backend
from repository.statements import WRITE
from repository.writing.pending_command import InDoubtAttempt, Pending, PendingCommand
from runtime.supervision import supervised

log = logging.getLogger(__name__)

_CLOCK_SLACK: Final = timedelta(minutes=5)
"""How far the clocks of a primary and of the standby that takes over may be apart."""
_PATIENCE: Final = 0.5
"""Seconds for which a batch waits until a backend is gone and what it committed is durable."""
_PAUSE: Final = 1.0
"""Seconds between two tries."""
CLOSING: Final = 2.0
"""Seconds that `InDoubtTransactions.close` takes at most."""


class StillInDoubt(Exception):
    """A batch about some keys may be committed yet: nothing can be done for these now."""

    def __init__(self, keys: frozenset[EntityKey]) -> None:
        super().__init__(f"a batch about {len(keys)} keys may be under way, or not durable yet")
        self.keys = keys


class InDoubtTransactions:
    """Remembers the backends that gave no answer to a batch, even if no caller waits."""

    def __init__(self, readers: ReadCommittedPool, in_doubt: CommitsInDoubt) -> None:
        self._readers = readers
        self._in_doubt = in_doubt
        self._backends: dict[Backend, frozenset[EntityKey]] = {}
        self._tries: dict[Backend, asyncio.Task[bool]] = {}
        self._told: set[Backend] = set()
        """Those of which the log says that their commit is in doubt."""
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
        committed and durable, or never will be.

        Raises StillInDoubt for those of which that cannot be had now.
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

    async def answer_committed(self, batch: Sequence[Pending]) -> Sequence[Pending]:
        """Answer the commands of which an earlier attempt was committed after all, and return the
        others.
        """
        if not any(pending.attempts_in_doubt for pending in batch):
            return batch
        waiting = []
        for pending in batch:
            doubt = await self._committed(pending)
            if doubt is None:
                waiting.append(pending)
            else:
                pending.settle(doubt.answer)
        return waiting

    async def _committed(self, pending: PendingCommand) -> InDoubtAttempt | None:
        """The doubt about a command that turned out to be committed."""
        types, ids = zip(*pending.keys, strict=True)
        for doubt in pending.attempts_in_doubt:
            since = doubt.begun - _CLOCK_SLACK
            if await self._readers.read(
                WRITE.query("find_batch"), types, ids, doubt.batch_id, since
            ):
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
                await self._end(backend)
            if self._closing:
                return
            if self._backends:
                await asyncio.sleep(_PAUSE)

    async def _end(self, backend: Backend) -> bool:
        """Whether a backend is gone, and what it committed durable.

        Who asks waits only a while; the try goes on.
        """
        attempt = self._tries.get(backend)
        if attempt is None:
            attempt = asyncio.create_task(self._try_to_end(backend), name="ending a backend")
            self._tries[backend] = attempt
        done, _ = await asyncio.wait({attempt}, timeout=_PATIENCE)
        return bool(done) and attempt.result()

    async def _try_to_end(self, backend: Backend) -> bool:
        cause = "its backend is still at work, or waits for a standby"
        try:
            ended = await self._in_doubt.end(backend)
        except Exception as error:
            cause, ended = repr(error), False
        finally:
            del self._tries[backend]
        self._tell(backend, ended, cause)
        if ended:
            self._backends.pop(backend, None)
        return ended

    def _tell(self, backend: Backend, ended: bool, cause: str) -> None:
        """A line when a commit stays in doubt, and one when that is over: not one for each try."""
        if not ended and backend not in self._told:
            self._told.add(backend)
            log.warning("a commit that got no answer is in doubt: %s", cause)
        elif ended and backend in self._told:
            self._told.remove(backend)
            log.warning("a commit that got no answer is not in doubt any more")
