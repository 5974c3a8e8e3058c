"""One lane of the commit pipeline: it commits one batch after the other.

While a batch commits, arrivals gather and form the next one: natural batching without a timer.
After group commit: DeWitt et al., "Implementation Techniques for Main Memory Database Systems"
(1984).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from domain.errors import (
    CommitUnknown,
    Contended,
    Corrupted,
    DatabaseUnavailable,
    FeatomError,
    Overloaded,
)
from repository.backoff import backoff
from repository.pool import AnswerLost
from repository.submission import Submission

log = logging.getLogger(__name__)


class Committer(Protocol):
    """What a lane drives: one attempt to commit a batch, as `WriteProtocol.attempt`."""

    async def attempt(self, submissions: Sequence[Submission]) -> list[Submission]: ...


class Lane:
    """Commits what it is given, in order, in batches.

    Database work runs only in the task of the lane, which nobody cancels. A caller that goes away
    cancels its future; the lane drops the command before it enters a batch, never after.
    """

    def __init__(self, committer: Committer, max_batch: int) -> None:
        self._committer = committer
        self._max_batch = max_batch
        self._waiting: deque[Submission] = deque()
        self._arrival = asyncio.Event()
        self._closing = False
        self._failures = 0
        self._task = asyncio.create_task(self._run(), name="lane")

    def __len__(self) -> int:
        """How many commands wait."""
        return len(self._waiting)

    def put(self, submission: Submission) -> None:
        self._waiting.append(submission)
        self._arrival.set()

    async def drain(self) -> None:
        """Commit what waits, then end."""
        self._closing = True
        self._arrival.set()
        await self._task

    async def _run(self) -> None:
        while True:
            batch = self._next_batch()
            if not batch:
                if self._closing:
                    return
                self._arrival.clear()
                await self._arrival.wait()
                continue
            undecided = await self._commit(batch)
            self._waiting.extendleft(reversed(undecided))
            if undecided:
                self._failures += 1
                await asyncio.sleep(backoff(self._failures))
            else:
                self._failures = 0

    def _next_batch(self) -> list[Submission]:
        now = asyncio.get_running_loop().time()
        batch: list[Submission] = []
        while self._waiting and len(batch) < self._max_batch:
            submission = self._waiting.popleft()
            if submission.answer.done():
                continue  # the caller went away
            if submission.deadline <= now:
                submission.settle(_out_of_time(submission))
            else:
                submission.attempts += 1
                batch.append(submission)
        return batch

    async def _commit(self, batch: Sequence[Submission]) -> list[Submission]:
        """Commit a batch; returns what is to be tried again, in order."""
        try:
            return await self._committer.attempt(batch)
        except AnswerLost as lost:
            log.warning("the answer to a commit was lost: %s", lost)
            return _unanswered(batch)
        except DatabaseUnavailable as error:
            return _give_up(batch, error)
        except Exception as error:
            return await self._isolate(batch, error)

    async def _isolate(self, batch: Sequence[Submission], error: Exception) -> list[Submission]:
        """Of a batch that cannot be committed, fail only the command that is to blame."""
        batch = _unanswered(batch)
        if len(batch) > 1:
            half = len(batch) // 2
            return [*await self._commit(batch[:half]), *await self._commit(batch[half:])]
        for submission in batch:
            log.error("%s cannot be committed", submission.command.key, exc_info=error)
            submission.settle(error if isinstance(error, FeatomError) else Corrupted(str(error)))
        return []


def _unanswered(batch: Sequence[Submission]) -> list[Submission]:
    return [submission for submission in batch if not submission.answer.done()]


def _give_up(batch: Sequence[Submission], error: DatabaseUnavailable) -> list[Submission]:
    """Fail what was certainly not committed; the rest is looked up when the database is back."""
    in_doubt = []
    for submission in _unanswered(batch):
        if submission.doubts:
            in_doubt.append(submission)
        else:
            submission.settle(error)
    return in_doubt


def _out_of_time(submission: Submission) -> FeatomError:
    if submission.doubts:
        return CommitUnknown()
    return Contended() if submission.attempts else Overloaded()
