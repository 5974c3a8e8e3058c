"""One batch under way: whatever happens, each command of it is answered, or comes back."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Final, Protocol

from domain.entity_key import EntityKey
from domain.errors import (
    Corrupted,
    DatabaseUnavailable,
    FeatomError,
)
from repository.connections.pool import AnswerLost
from repository.connections.sqlstates import is_heavy, sqlstate_of
from repository.pipeline.submission import Submission
from repository.writing.chaining import ChainBroken, ChainLink
from repository.writing.in_doubt import StillInDoubt
from repository.writing.pending_command import keys_in, split

log = logging.getLogger(__name__)


SPLIT_AFTER: Final = 3
"""Attempts after which a batch that lost as a whole is tried in halves."""


class Committer(Protocol):
    """One attempt to commit a batch, as `WriteProtocol.attempt`."""

    async def attempt(
        self,
        submissions: Sequence[Submission],
        ahead: ChainLink | None = None,
        behind: ChainLink | None = None,
    ) -> list[Submission]: ...


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


async def commit(
    committer: Committer,
    batch: Sequence[Submission],
    ahead: ChainLink | None = None,
    behind: ChainLink | None = None,
) -> list[Submission]:
    """Commit a batch; returns what is to be tried again, in order. Raises nothing.

    One that is right behind another is tried only as a whole: parts of it might overtake what comes
    back from the one ahead.
    """
    try:
        undecided = await committer.attempt(batch, ahead, behind)
        if ahead is None and _keeps_failing(batch, undecided):
            return await _commit_halves(committer, undecided)
        return undecided
    except ChainBroken:
        # It was no attempt: nothing of it was tried.
        for submission in batch:
            submission.attempts -= 1
        return list(batch)
    except AnswerLost as lost:
        log.warning("the answer to a commit was lost: %s", lost)
        return _unanswered(batch)
    except StillInDoubt as doubt:
        log.debug("%s", doubt)  # `InDoubtTransactions` tells of the doubt itself, once
        return await _commit_others(committer, batch, doubt.keys, ahead)
    except Exception as error:
        if isinstance(error, DatabaseUnavailable) and not is_heavy(error.sqlstate):
            return _give_up(batch, error)
        if ahead is not None:
            return _unanswered(batch)
        return await _isolate(committer, batch, error)


async def _commit_others(
    committer: Committer,
    batch: Sequence[Submission],
    keys: Collection[EntityKey],
    ahead: ChainLink | None,
) -> list[Submission]:
    """Commit what has nothing to do with keys in doubt; for these, the database is not there."""
    free, held = split(_unanswered(batch), keys)
    about = [each for each in held if any(key in keys for key in each.keys)]
    _give_up(about, DatabaseUnavailable())
    if ahead is not None:
        return _unanswered(batch)
    return [*await _commit_live(committer, free), *_unanswered(held)]


async def _isolate(
    committer: Committer, batch: Sequence[Submission], error: Exception
) -> list[Submission]:
    """Of a batch that cannot be committed, fail only the command that is to blame."""
    batch = _unanswered(batch)
    if len(batch) > 1:
        for submission in batch:
            submission.refusal = error if isinstance(error, FeatomError) else None
        return await _commit_halves(committer, batch)
    if isinstance(error, DatabaseUnavailable):
        return _give_up(batch, error)
    for submission in batch:
        log.error("%s cannot be committed", submission.keys, exc_info=error)
        submission.settle(error if isinstance(error, FeatomError) else _refused(error))
    return []


def _refused(error: Exception) -> Corrupted:
    """What a command is told that the database does not take."""
    return Corrupted(str(error), sqlstate_of(error))


async def _commit_halves(committer: Committer, batch: Sequence[Submission]) -> list[Submission]:
    """Commit the two halves of a batch one after the other."""
    half = len(batch) // 2
    undecided = await _commit_live(committer, batch[:half])
    # What shares a key with an undecided command must not overtake it.
    free, behind = split(batch[half:], keys_in(undecided))
    return [*undecided, *await _commit_live(committer, free), *behind]


async def _commit_live(committer: Committer, batch: Sequence[Submission]) -> list[Submission]:
    """Commit those of a batch for which somebody still waits."""
    now = asyncio.get_running_loop().time()
    live = [submission for submission in batch if submission.is_live(now)]
    return await commit(committer, live) if live else []


def _keeps_failing(batch: Sequence[Submission], undecided: Sequence[Submission]) -> bool:
    """Whether a batch loses as a whole again and again, perhaps only for one of its keys.

    While all of it waits for the change of an entity type, its parts would get no further. And if
    some was put off, it was in parts already.
    """
    return (
        len(undecided) == len(batch)
        and not any(submission.put_off for submission in undecided)
        and not all(submission.lost_to_a_change for submission in undecided)
        and min((submission.attempts for submission in undecided), default=0) >= SPLIT_AFTER
        and len({submission.keys for submission in undecided}) > 1
    )


def _unanswered(batch: Sequence[Submission]) -> list[Submission]:
    return [submission for submission in batch if not submission.answer.done()]


def _give_up(batch: Sequence[Submission], error: DatabaseUnavailable) -> list[Submission]:
    """Fail what was certainly not committed; the rest is looked up when the database is back."""
    in_doubt = []
    for submission in _unanswered(batch):
        if submission.attempts_in_doubt:
            in_doubt.append(submission)
        else:
            submission.settle(error)
    return in_doubt
