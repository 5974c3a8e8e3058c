"""The commit pipeline: every write goes through it.

Requests do not own transactions. A key always maps to the same lane, so the commands of one key
stay in order and a hot key is one row write for many of them, while a cold load shares round trips
and flushes of the log.
"""

import asyncio
from collections.abc import Sequence

from domain.errors import Draining, Overloaded
from domain.outcome import Outcome
from domain.update import Command
from repository.lane import Committer, Lane
from repository.submission import Submission

PATIENCE = 10.0
"""Seconds that a command without a deadline may take."""


class CommitPipeline:
    """Takes commands one by one and commits them in batches."""

    def __init__(
        self,
        committer: Committer,
        *,
        lanes: int = 4,
        max_batch: int = 256,
        max_waiting: int = 8_192,
    ) -> None:
        """At most `max_waiting` commands wait; a batch has at most `max_batch` of them."""
        self._max_waiting = max_waiting
        self._draining = False
        self._lanes: Sequence[Lane] = [Lane(committer, max_batch) for _ in range(lanes)]

    async def submit(self, command: Command, deadline: float | None = None) -> Outcome:
        """Commit one command; returns once it is durable. See domain.ports.AggregateWriter."""
        if self._draining:
            raise Draining
        if sum(map(len, self._lanes)) >= self._max_waiting:
            raise Overloaded
        loop = asyncio.get_running_loop()
        latest = loop.time() + PATIENCE
        submission = Submission(
            command,
            loop.create_future(),
            latest if deadline is None else min(deadline, latest),
        )
        self._lane_of(command).put(submission)
        return await submission.answer

    async def drain(self) -> None:
        """Refuse new commands, and return when those that wait are answered."""
        self._draining = True
        await asyncio.gather(*(lane.drain() for lane in self._lanes))

    def _lane_of(self, command: Command) -> Lane:
        return self._lanes[hash(command.key) % len(self._lanes)]
