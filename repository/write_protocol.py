"""The write protocol: read, evaluate, write if nothing changed in between, then answer.

1. Read the rows, the request ids that are known, the revisions of the entity types, and the time,
   at READ COMMITTED.
2. The domain applies each command to the state that the previous one left. One that fails gets
   its error and changes nothing.
3. One SERIALIZABLE transaction, in one round trip, writes each row whose xmin and version are
   still those that were read, and whose entity type still has the revision that was read.
4. Each command is answered after the commit. What hangs on a row that lost its race is undecided.

A batch right behind another takes what that one changes from it instead of from the database, in
step 2, and waits for its commit before step 3.

The check of xmin and version carries the promise that no update is lost; SERIALIZABLE is the second
net. After Kung and Robinson, "On Optimistic Methods for Concurrency Control" (1981).
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeAlias
from uuid import uuid4

from domain.entity_key import EntityKey
from domain.errors import DatabaseUnavailable, FeatomError
from domain.limits import Limits
from domain.outcome import Outcome
from repository.codec.instants import from_datetime
from repository.columns import write_arguments
from repository.entity_types.catalogue import Catalogue
from repository.evaluation import Evaluation
from repository.handover import Handover, Withdrawn
from repository.pool import AnswerLost, Backend, Connection, Pool, Record, TransactionAborted
from repository.snapshot import read_snapshot
from repository.statements import WRITE
from repository.submission import Doubt, Submission, keys_in
from repository.turns import Turns

Answered: TypeAlias = tuple[Submission, Outcome | FeatomError]

_CLOCK_SLACK: Final = timedelta(minutes=5)
"""How far the clocks of a primary and of the standby that takes over may be apart."""

_ENDING_MS: Final = 200

_LOOK_AROUND: Final = 8
"""After so many batches right behind one another it is asked whether others want a turn."""


class Written(NamedTuple):
    """How a write ended."""

    lost: set[int]
    """The units of which nothing was written."""
    transaction: int
    """What wrote the others."""


class WriteProtocol:
    """Commits batches of commands, one attempt at a time."""

    def __init__(
        self,
        readers: Pool,
        writers: Pool,
        catalogue: Catalogue,
        limits: Limits,
        remember: timedelta,
    ) -> None:
        """`readers` are READ COMMITTED, `writers` SERIALIZABLE.

        Request ids are known for `remember`.
        """
        self._readers = readers
        self._writers = writers
        self._catalogue = catalogue
        self._limits = limits
        self._remember = remember
        self._turns = Turns(readers, time.monotonic)

    async def attempt(
        self,
        submissions: Sequence[Submission],
        ahead: Handover | None = None,
        behind: Handover | None = None,
    ) -> list[Submission]:
        """Try to commit; answers what is decided, and returns what is not, in order.

        With a batch `ahead`, nothing is written or answered before that is committed, or at all if
        it is not. A batch `behind` may follow.
        Raises Withdrawn, DatabaseUnavailable or AnswerLost, and what PostgreSQL says of data that
        it cannot take; what was not answered then is undecided.
        """
        contended = self._turns.contended(keys_in(submissions))
        if contended and ahead is None:
            undecided = await self._turns.take(contended, lambda: self._attempt(submissions))
        else:
            undecided = await self._attempt(submissions, ahead, behind)
        # SERIALIZABLE also aborts where nobody wrote the same, but hardly ever two times in a row.
        self._turns.lost(keys_in(each for each in undecided if each.attempts > 1))
        return undecided

    async def _attempt(
        self,
        submissions: Sequence[Submission],
        ahead: Handover | None = None,
        behind: Handover | None = None,
    ) -> list[Submission]:
        if ahead is not None and await self._others_want(submissions, ahead.place):
            raise Withdrawn
        commands = [submission.command for submission in submissions]
        snapshot = await read_snapshot(
            self._readers, self._catalogue, commands, self._limits, self._remember
        )
        if ahead is not None:
            snapshot = await ahead.take_over(snapshot)
        # After the rows were read: what a batch in doubt has changed since makes their write fail.
        waiting = await self._settle_doubts(submissions)
        evaluation = Evaluation(snapshot.rows, snapshot.known, from_datetime(snapshot.now))
        answers = [(each, evaluation.evaluate(each.command)) for each in waiting]
        if ahead is not None:
            await ahead.follow()
        lost = await self._write(evaluation, answers, snapshot.now, behind)
        undecided = []
        for submission, answer in answers:
            if evaluation.unit_of(submission.command) in lost:
                undecided.append(submission)
            else:
                submission.settle(answer)
        return undecided

    async def _others_want(self, submissions: Sequence[Submission], place: int) -> bool:
        """Whether another server wants to write the same, and finds no moment to be faster."""
        if place % _LOOK_AROUND:
            return False
        return await self._turns.are_wanted(keys_in(submissions))

    async def _write(
        self,
        evaluation: Evaluation,
        answers: Sequence[Answered],
        begun: datetime,
        behind: Handover | None = None,
    ) -> set[int]:
        """Write what is to be written; returns the units that lost their race."""
        rows = [row for row in evaluation.rows.values() if row.records]
        if not rows:
            return set()
        # Only now: what is refused or rehearsed leaves nothing.
        await self._catalogue.ensure_rows({row.key.entity_type for row in rows})
        batch_id = uuid4()
        arguments = write_arguments(rows, batch_id)
        erased = [row.key for row in rows if row.erase_history]
        if behind is not None:
            behind.offer(evaluation.rows)
        try:
            written = await self._writers.run(lambda link: _transaction(link, arguments, erased))
        except TransactionAborted:
            return {row.unit for row in rows}
        except AnswerLost as lost:
            units = {row.unit for row in rows}
            for submission, answer in answers:
                if evaluation.unit_of(submission.command) in units:
                    submission.doubts.append(Doubt(batch_id, begun, lost.backend, answer))
            raise
        self._turns.lost(row.key for row in rows if row.unit in written.lost)
        if behind is not None and not written.lost:
            behind.committed(written.transaction)
        return written.lost

    async def _settle_doubts(self, submissions: Sequence[Submission]) -> Sequence[Submission]:
        """Answer the submissions of which an earlier attempt was committed after all."""
        doubted = {doubt.backend for each in submissions for doubt in each.doubts}
        if not doubted:
            return submissions
        for backend in doubted:
            if backend is not None:
                await self._end(backend)
        waiting = []
        for submission in submissions:
            doubt = await self._committed_doubt(submission)
            if doubt is None:
                waiting.append(submission)
            else:
                submission.settle(doubt.answer)
        return waiting

    async def _committed_doubt(self, submission: Submission) -> Doubt | None:
        types, ids = zip(*submission.keys, strict=True)
        for doubt in submission.doubts:
            since = doubt.begun - _CLOCK_SLACK
            if await self._readers.read(WRITE["find_batch"], types, ids, doubt.batch_id, since):
                return doubt
        return None

    async def _end(self, backend: Backend) -> None:
        """Make sure that a batch in doubt cannot be committed any more, if it is not yet."""
        ended = await self._readers.read(WRITE["end_backend"], *backend, _ENDING_MS)
        if not all(gone for (gone,) in ended):
            raise DatabaseUnavailable


async def _transaction(
    link: Connection, arguments: Sequence[object], erased: Sequence[EntityKey]
) -> Written:
    """Write some rows, and erase the history of some of them."""
    if not erased:
        return _written(await link.fetch(WRITE["write_batch"], *arguments))
    async with link.transaction(isolation="serializable"):
        types, ids = zip(*erased, strict=True)
        await link.execute(WRITE["erase_history"], types, ids)
        written = _written(await link.fetch(WRITE["write_batch"], *arguments))
        if written.lost:
            raise TransactionAborted  # or a history would be erased whose entity still lives
        return written


def _written(records: Sequence[Record]) -> Written:
    *lost, (_, transaction) = records
    return Written({unit for unit, _ in lost}, transaction)
