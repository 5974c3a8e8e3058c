"""The commit pipeline: every write goes through it.

Requests do not own transactions. A few lanes commit batches side by side; while they do, arrivals
gather and form the next batches: natural batching without a timer. So a hot key is one row write
for many commands, and a cold load shares round trips and flushes of the log. After group commit:
DeWitt et al., "Implementation Techniques for Main Memory Database Systems" (1984). Where much waits
for a hot key, its next batch begins while the one ahead is being written (see the module chaining).
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import Final

from domain.entity_key import EntityKey
from domain.errors import CommitUnknown, Draining, Overloaded
from domain.outcome import Outcome
from domain.update import Command
from repository.arrivals import Arrivals
from repository.pipeline.backoff import backoff
from repository.pipeline.batch_sizes import ENOUGH, LONG, gathers, limit_of, share_of
from repository.pipeline.committing import Attempt, Committer
from repository.pipeline.schedule import Schedule
from repository.pipeline.submission import Submission, answer_if_late
from repository.writing.pending_command import keys_in
from runtime.supervision import supervised

PATIENCE: Final = 10.0
"""Seconds that a command without a deadline may take."""
_LOOK_FOR_LATE: Final = 0.1
"""Seconds between looks; below the time that is left for the answer."""


@dataclass(slots=True)
class Statistics:
    """What a pipeline has done so far."""

    batches: int = 0
    commands: int = 0
    """How often a command was in a batch."""
    undecided: int = 0
    """How often it came back, because another server was faster or the database went away."""
    chained: int = 0
    """Batches that were committed right behind another."""
    busy: float = 0.0
    """Seconds for which lanes had a batch under way, all together."""


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
        weight_of: Callable[[Collection[EntityKey]], int] = lambda keys: 0,
    ) -> None:
        """At most `max_waiting` commands wait; a batch has about `max_batch` updates.

        `weight_of` tells how many bytes of large aggregates there are, as far as that is known.
        """
        self.statistics = Statistics()
        # Asked for once: to find the running loop asks the system for the number of the process.
        self._loop = asyncio.get_running_loop()
        self._committer = committer
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._weight_of = weight_of
        self._schedule = Schedule()
        self._wake = asyncio.Event()
        self._draining = False
        self._arrivals = Arrivals()
        self._under_way: set[Attempt] = set()
        self._look_again: asyncio.TimerHandle | None = None
        """Wakes the lanes for what has gathered for long."""
        self._looking_for_late: asyncio.TimerHandle | None = None
        """Answers those whose time is up while they wait; there while anything waits."""
        self._lanes = [supervised("lane", self._lane) for _ in range(lanes)]

    def submit(self, command: Command, deadline: float | None = None) -> "asyncio.Future[Outcome]":
        """Begin to commit one command. See domain.ports.AggregateWriter."""
        if self._draining:
            raise Draining
        if len(self._schedule) >= self._max_waiting:
            raise Overloaded
        now = self._loop.time()
        latest = now + PATIENCE
        answer: asyncio.Future[Outcome] = self._loop.create_future()
        latest = latest if deadline is None else min(deadline, latest)
        submission = Submission(command, answer, latest, now)
        if weight := self._weight_of(submission.keys):
            submission.weigh(weight)
        self._schedule.put(submission)
        self._arrivals.note()
        self._wake_lanes()
        if self._looking_for_late is None:
            self._looking_for_late = self._loop.call_later(_LOOK_FOR_LATE, self._answer_late)
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
                await self._commit(batch)
            elif self._draining and not len(self._schedule):
                self._wake.set()  # for the lanes that have not seen it yet
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    def _takes_more(self) -> bool:
        """Whether a batch of what waits would be a small one."""
        return 0 < self._schedule.updates < ENOUGH

    def _next_batch(self) -> list[Submission]:
        now = self._loop.time()
        if gathers(self._schedule.updates, self._under_way, now):
            if self._look_again is None:
                self._look_again = self._loop.call_later(LONG, self._stop_gathering)
            return []
        return self._take()

    def _stop_gathering(self) -> None:
        self._look_again = None
        self._wake.set()

    def _take(self, behind: Collection[EntityKey] = ()) -> list[Submission]:
        lanes = len(self._lanes)
        limit = limit_of(self._schedule.updates, lanes, self._max_batch)
        share = share_of(self._schedule.updates, lanes, self._max_batch)
        # One lane is always left for what does not take long.
        under_way = sum(attempt.is_heavy for attempt in self._under_way)
        heavy = lanes == 1 or under_way < lanes - 1
        is_live = methodcaller("is_live", self._loop.time())
        return self._schedule.take(limit, share, is_live, behind, heavy=heavy)

    async def _commit(self, batch: Sequence[Submission]) -> None:
        """Commit a batch, and those that form right behind it."""
        line = [self._begin(batch)]
        try:
            await self._commit_line(line)
        except Exception:
            for attempt in line:
                await self._abandon(attempt)
            raise

    async def _commit_line(self, line: list[Attempt]) -> None:
        """The attempts of a lane that are under way, in order: each may get one behind it."""
        clock = self._loop.time
        since = clock()
        while line:
            ahead = line[0]
            behind = await self._begin_behind(ahead)
            if behind is not None:
                line.append(behind)
            undecided, keys = await self._end(ahead), ahead.keys
            if behind is not None and not ahead.is_committed:
                # Its chain is broken: it waits again for what it came after.
                undecided += await self._end(behind)
                keys |= behind.keys
                behind = None
            self._try_again(undecided)
            still_busy = {*keys_in(undecided), *(behind.keys if behind else ())}
            self._release(keys - still_busy)
            now = clock()
            self.statistics.busy += now - since
            since = now
            line[:] = [behind] if behind is not None else []

    async def _abandon(self, attempt: Attempt) -> None:
        """After a fault of ours: nobody shall wait for what becomes of a batch."""
        await attempt.ended()
        self._under_way.discard(attempt)
        for submission in attempt.batch:
            submission.settle(CommitUnknown())
        self._release(attempt.keys)

    def _begin(self, batch: Sequence[Submission], ahead: Attempt | None = None) -> Attempt:
        attempt = Attempt(self._committer, batch, ahead)
        self._under_way.add(attempt)
        return attempt

    async def _begin_behind(self, ahead: Attempt) -> Attempt | None:
        """Begin with what waits for the keys of a batch as soon as that is being written.

        One lane never does, so that there is always one for all other keys. Nothing does behind
        what is heavy: it would hold all of that twice.
        """
        if (
            ahead.is_heavy
            or not await ahead.has_left_rows()
            or self._schedule.behind(ahead.keys) < ENOUGH
        ):
            return None
        elsewhere = sum(other.is_behind for other in self._under_way if other is not ahead)
        if elsewhere >= len(self._lanes) - 1:
            return None
        batch = self._take(behind=ahead.keys)
        # What went away on the way may have been in the way of others.
        self._wake_lanes()
        return self._begin(batch, ahead) if batch else None

    async def _end(self, attempt: Attempt) -> list[Submission]:
        undecided = await attempt.undecided()
        self._under_way.remove(attempt)
        self.statistics.batches += 1
        self.statistics.commands += len(attempt.batch)
        self.statistics.undecided += sum(not each.put_off for each in undecided)
        self.statistics.chained += attempt.is_behind and attempt.is_committed
        return undecided

    def _try_again(self, undecided: Sequence[Submission]) -> None:
        if not undecided:
            return
        self._schedule.put_back(undecided)
        # Their keys stay busy meanwhile, so nothing overtakes them; the lane goes on with others.
        # The first wait for an advisory lock is its pause (the module contention).
        losses = max(submission.attempts - submission.is_contended for submission in undecided)
        pause = backoff(losses) if losses > 0 else 0.0
        self._loop.call_later(pause, self._release, set(keys_in(undecided)))

    def _release(self, keys: Collection[EntityKey]) -> None:
        self._schedule.release(keys)
        self._wake_lanes()

    def _answer_late(self) -> None:
        """Those that waited behind others for all of their time were not even tried, and shall know
        that: nothing of them was applied."""
        self._looking_for_late = None
        if len(self._schedule):
            now = self._loop.time()
            for submission in self._schedule:
                answer_if_late(now, submission)
            self._looking_for_late = self._loop.call_later(_LOOK_FOR_LATE, self._answer_late)

    def _wake_lanes(self) -> None:
        if self._schedule.has_ready:
            self._wake.set()
