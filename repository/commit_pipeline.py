"""The commit pipeline: every write goes through it.

Requests do not own transactions. A few lanes commit batches side by side; while they do, arrivals
gather and form the next batches: natural batching without a timer. So a hot key is one row write
for many commands, and a cold load shares round trips and flushes of the log. After group commit:
DeWitt et al., "Implementation Techniques for Main Memory Database Systems" (1984).
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from domain.entity_key import EntityKey
from domain.errors import Draining, Overloaded
from domain.outcome import Outcome
from domain.update import Command
from repository.arrivals import Arrivals
from repository.backoff import backoff
from repository.committing import Committer, commit, is_live
from repository.schedule import Schedule, size_of
from repository.submission import Submission, keys_in

PATIENCE: Final = 10.0
"""Seconds that a command without a deadline may take."""

_MIN_SHARE: Final = 32
_MAX_SHARE: Final = 128
"""Updates of different keys that make a batch. Larger ones cost more an update: they read so much
of an index that another lane writes into it meanwhile, and then SERIALIZABLE aborts one of them."""

# A batch costs about as much as twenty updates in it, so while a small one is under way, what waits
# had better gather for the next: unless there is little to do, and a lane may as well do it; or
# enough waits for a batch of its own; or the one under way takes long.
_LITTLE: Final = 8
_ENOUGH: Final = 64
_LONG: Final = 0.02
"""Seconds."""


@dataclass(slots=True)
class Statistics:
    """What a pipeline has done so far."""

    batches: int = 0
    commands: int = 0
    """How often a command was in a batch."""
    undecided: int = 0
    """How often it came back, because another server was faster or the database went away."""


class CommitPipeline:
    """Takes commands one by one and commits them in batches.

    Database work runs only in the tasks of the lanes, which nobody cancels. A caller that goes away
    cancels its future; its command is dropped before it enters a batch, never after.
    """

    def __init__(
        self,
        committer: Committer,
        *,
        lanes: int = 2,
        max_batch: int = 256,
        max_waiting: int = 8_192,
    ) -> None:
        """At most `max_waiting` commands wait; a batch has about `max_batch` updates."""
        self.statistics = Statistics()
        self._committer = committer
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._schedule = Schedule()
        self._wake = asyncio.Event()
        self._draining = False
        self._arrivals = Arrivals()
        self._under_way: dict[int, tuple[float, int]] = {}
        """When each batch was begun, and how many updates it has."""
        self._look_again: asyncio.TimerHandle | None = None
        """Wakes the lanes for what has gathered for long."""
        self._lanes = [asyncio.create_task(self._lane(), name="lane") for _ in range(lanes)]

    def submit(self, command: Command, deadline: float | None = None) -> "asyncio.Future[Outcome]":
        """Begin to commit one command. See domain.ports.AggregateWriter."""
        if self._draining:
            raise Draining
        if len(self._schedule) >= self._max_waiting:
            raise Overloaded
        loop = asyncio.get_running_loop()
        now = loop.time()
        latest = now + PATIENCE
        answer: asyncio.Future[Outcome] = loop.create_future()
        self._schedule.put(
            Submission(command, answer, latest if deadline is None else min(deadline, latest), now)
        )
        self._arrivals.note()
        self._wake.set()
        return answer

    @property
    def waiting(self) -> int:
        """How many commands are in no batch."""
        return len(self._schedule)

    async def drain(self) -> None:
        """Refuse new commands, and return when those that wait are answered."""
        self._draining = True
        self._wake.set()
        await asyncio.gather(*self._lanes)

    async def _lane(self) -> None:
        while True:
            await self._arrivals.let_in(self._takes_more)
            batch = self._next_batch()
            if batch:
                begun = asyncio.get_running_loop().time(), sum(map(size_of, batch))
                self._under_way[id(batch)] = begun
                await self._commit(batch)
                del self._under_way[id(batch)]
            elif self._draining and not len(self._schedule):
                self._wake.set()  # for the lanes that have not seen it yet
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    def _takes_more(self) -> bool:
        """Whether a batch of what waits would be a small one."""
        return 0 < self._schedule.updates < _ENOUGH

    def _next_batch(self) -> list[Submission]:
        if self._gathers():
            if self._look_again is None:
                later = asyncio.get_running_loop().call_later
                self._look_again = later(_LONG, self._stop_gathering)
            return []
        return self._schedule.take(self._max_batch, self._share(), is_live)

    def _stop_gathering(self) -> None:
        self._look_again = None
        self._wake.set()

    def _gathers(self) -> bool:
        """Whether what waits goes into the next batch of another lane."""
        waiting = self._schedule.updates
        if not self._under_way or not 0 < waiting < _ENOUGH:
            return False
        recently = asyncio.get_running_loop().time() - _LONG
        sizes = [size for begun, size in self._under_way.values() if begun > recently]
        return bool(sizes) and min(sizes) < _ENOUGH and waiting + sum(sizes) > _LITTLE

    def _share(self) -> int:
        """How much of what waits is one lane's: all lanes shall have something to do at a time."""
        fair = len(self._schedule) // len(self._lanes)
        return min(self._max_batch, _MAX_SHARE, max(_MIN_SHARE, fair))

    async def _commit(self, batch: Sequence[Submission]) -> None:
        for submission in batch:
            submission.attempts += 1
        undecided = await commit(self._committer, batch)
        self.statistics.batches += 1
        self.statistics.commands += len(batch)
        self.statistics.undecided += len(undecided)
        keys = set(keys_in(batch))
        if not undecided:
            self._release(keys)
            return
        held = set(keys_in(undecided))
        self._schedule.put_back(undecided)
        self._release(keys - held)
        # Their keys stay busy meanwhile, so nothing overtakes them; the lane goes on with others.
        attempts = max(submission.attempts for submission in undecided)
        # At once after the first loss: the next attempt waits for its turn (repository.turns).
        pause = backoff(attempts - 1) if attempts > 1 else 0.0
        asyncio.get_running_loop().call_later(pause, self._release, held)

    def _release(self, keys: Collection[EntityKey]) -> None:
        self._schedule.release(keys)
        if self._schedule.has_ready:
            self._wake.set()
