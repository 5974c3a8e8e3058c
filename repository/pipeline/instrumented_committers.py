"""Committers that tell metrics and traces of each attempt of another one."""

import asyncio
from collections.abc import Sequence
from typing import Final

from repository.pipeline.committing import Committer
from repository.pipeline.submission import Submission
from repository.writing.chaining import ChainLink
from telemetry.metrics import Histogram
from telemetry.tracing import Tracer

BATCH_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
WAIT_BOUNDS: Final = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
)


class MeasuredCommitter:
    """Counts the attempts of another committer."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self.batch_sizes = Histogram(BATCH_BOUNDS)
        """Commands in an attempt."""
        self.waits = Histogram(WAIT_BOUNDS)
        """Seconds from a command's arrival to its first attempt."""
        self.conflicts = 0
        """Commands that came back because another writer was faster."""

    async def attempt(
        self,
        submissions: Sequence[Submission],
        ahead: ChainLink | None = None,
        behind: ChainLink | None = None,
    ) -> list[Submission]:
        """See Committer."""
        begun = asyncio.get_running_loop().time()
        self.batch_sizes.observe(len(submissions))
        for submission in submissions:
            if not submission.measured:
                submission.measured = True
                self.waits.observe(begun - submission.arrived)
        undecided = await self._committer.attempt(submissions, ahead, behind)
        self.conflicts += sum(not each.put_off for each in undecided)
        return undecided


class TracedCommitter:
    """Records each attempt of another committer as a batch."""

    def __init__(self, committer: Committer, tracer: Tracer) -> None:
        self._committer = committer
        self._tracer = tracer

    async def attempt(
        self,
        submissions: Sequence[Submission],
        ahead: ChainLink | None = None,
        behind: ChainLink | None = None,
    ) -> list[Submission]:
        """See Committer."""
        with self._tracer.batch("commit", [submission.answer for submission in submissions]):
            return await self._committer.attempt(submissions, ahead, behind)
