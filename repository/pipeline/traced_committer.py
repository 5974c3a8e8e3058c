"""Batches, as a tracer sees them. Without a tracer this is not in their way."""

from collections.abc import Sequence

from repository.pipeline.committing import Committer
from repository.writing.chaining import ChainLink
from repository.writing.submission import Submission
from telemetry.tracing import Tracer


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
