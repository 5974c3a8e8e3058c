"""One batch under way."""

import asyncio
from collections.abc import Sequence

from repository.pipeline.committing import Committer, commit
from repository.writing.chaining import ChainBroken, ChainLink
from repository.writing.submission import Submission, keys_in


class Attempt:
    """Commits a batch in a task of its own, which nobody cancels."""

    def __init__(
        self, committer: Committer, batch: Sequence[Submission], ahead: "Attempt | None" = None
    ) -> None:
        """Begin at once; right behind the batch `ahead`, if there is one."""
        self.keys = frozenset(keys_in(batch))
        self.size = sum(submission.size for submission in batch)
        """How many updates the batch has."""
        self.is_heavy = batch[0].is_heavy
        """Whether it may take long."""
        self.begun = asyncio.get_running_loop().time()
        self._committer = committer
        self.batch = batch
        self._ahead: ChainLink | None = ahead._behind if ahead else None
        self._behind: ChainLink = ChainLink(self._ahead.place + 1 if self._ahead else 0)
        self._task = asyncio.create_task(self._run(), name="batch")

    @property
    def is_behind(self) -> bool:
        """Whether it began behind another batch."""
        return self._ahead is not None

    @property
    def is_committed(self) -> bool:
        """Whether all of the batch was committed at once."""
        return self._behind.is_committed

    async def has_left_rows(self) -> bool:
        """Wait until another batch may begin behind this one, or never will."""
        try:
            await self._behind.rows()
        except ChainBroken:
            return False
        return True

    async def undecided(self) -> list[Submission]:
        """Wait for the end; returns what is to be tried again, in order."""
        return await self._task

    async def ended(self) -> None:
        """Wait for the end, whatever it is."""
        await asyncio.wait({self._task})

    async def _run(self) -> list[Submission]:
        for submission in self.batch:
            submission.attempts += 1
            submission.put_off = False
        try:
            return await commit(self._committer, self.batch, self._ahead, self._behind)
        finally:
            self._behind.end()
