"""The write protocol: read, evaluate, write if nothing changed in between, then answer.

1. Read the rows, the request ids that are known, the revisions of the entity types, and the time,
   at READ COMMITTED.
2. The domain applies each command to the state that the previous one left. One that fails gets
   its error and changes nothing.
3. One SERIALIZABLE transaction, in one round trip wherever it can be, writes each row whose xmin
   and version are still those that were read, and whose entity type still has the revision that
   was read. Of what must be written together, the rows that stay as they are must be so too.
4. Each command is answered after the commit. What hangs on a row that lost its race is undecided.

A batch right behind another takes what that one changes from it instead of from the database, in
step 2, and waits for its commit before step 3.

The check of xmin and version carries the promise that no update is lost; SERIALIZABLE is the second
net. After Kung and Robinson, "On Optimistic Methods for Concurrency Control" (1981).
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias
from uuid import uuid4

from domain.entity_key import EntityKey
from domain.errors import FeatomError
from domain.limits import Limits
from domain.outcome import Outcome
from domain.update import UpdateBatch
from repository.codec.instants import from_datetime
from repository.connections.pool import AnswerLost, Pool, TransactionAborted
from repository.entity_types.catalogue import Catalogue
from repository.writing.doubts import Doubts
from repository.writing.evaluation import Evaluation
from repository.writing.handover import Handover, Withdrawn
from repository.writing.pace import Pace
from repository.writing.snapshot import read_snapshot
from repository.writing.submission import Doubt, Submission, is_live, keys_in, split
from repository.writing.transaction import write
from repository.writing.turns import Turns

Answered: TypeAlias = tuple[Submission, Outcome | FeatomError]

_LOOK_AROUND: Final = 8
"""After so many batches right behind one another it is asked whether others want a turn."""


class Loss(NamedTuple):
    """What a write did not write."""

    units: set[int]
    to_others: bool
    """Whether another writer certainly was faster. SERIALIZABLE also aborts where nobody wrote the
    same, but hardly ever two times in a row."""


class WriteProtocol:
    """Commits batches of commands, one attempt at a time."""

    def __init__(self, readers: Pool, writers: Pool, catalogue: Catalogue, limits: Limits) -> None:
        """`readers` are READ COMMITTED, `writers` SERIALIZABLE."""
        self._readers = readers
        self._writers = writers
        self._catalogue = catalogue
        self._limits = limits
        self._turns = Turns(readers, time.monotonic)
        self._doubts = Doubts(readers)

    async def close(self) -> None:
        """Decide what is still in doubt, but not for long.

        Must be called when the pool of writers is closed, and before that of readers is.
        """
        await self._doubts.close()

    async def attempt(
        self,
        submissions: Sequence[Submission],
        ahead: Handover | None = None,
        behind: Handover | None = None,
    ) -> list[Submission]:
        """Try to commit; answers what is decided, and returns what is not, in order.

        With a batch `ahead`, nothing is written or answered before that is committed, or at all if
        it is not. A batch `behind` may follow.
        Raises Withdrawn, StillInDoubt, DatabaseUnavailable or AnswerLost, and what PostgreSQL says
        of data that it cannot take; what was not answered then is undecided.
        """
        contended = self._turns.contended(keys_in(submissions))
        if contended and ahead is None:
            return await self._turns.take(contended, lambda: self._attempt(submissions))
        return await self._attempt(submissions, ahead, behind)

    async def _attempt(
        self,
        submissions: Sequence[Submission],
        ahead: Handover | None = None,
        behind: Handover | None = None,
    ) -> list[Submission]:
        """Commit what can be committed at once, and then what must wait for that."""
        lost, later = await self._commit(submissions, ahead, behind)
        if not later:
            return lost
        now = asyncio.get_running_loop().time()
        free, held = split([each for each in later if is_live(now, each)], keys_in(lost))
        return [*lost, *(await self._attempt(free) if free else ()), *held]

    async def _commit(
        self,
        submissions: Sequence[Submission],
        ahead: Handover | None,
        behind: Handover | None,
    ) -> tuple[list[Submission], list[Submission]]:
        """Returns what lost its race, and what was not tried because it must wait for the rest."""
        # What is left of an entity is not handed over, and nothing of what is erased is.
        erases = any(submission.alone for submission in submissions)
        if ahead is not None and (erases or await self._others_want(submissions, ahead.place)):
            raise Withdrawn
        await self._doubts.decide(keys_in(submissions))
        commands = [submission.command for submission in submissions]
        snapshot = await read_snapshot(self._readers, self._catalogue, commands, self._limits)
        if ahead is not None:
            snapshot = await ahead.take_over(snapshot)
        waiting = await self._settle_doubts(submissions)
        evaluation = Evaluation(snapshot.rows, snapshot.known, from_datetime(snapshot.now))
        answers, later = await _evaluate(evaluation, waiting)
        if ahead is not None:
            await ahead.follow()
        # What must wait comes before all that may follow.
        followed = None if later or erases else behind
        loss = await self._write(evaluation, answers, snapshot.now, followed)
        lost = []
        for submission, answer in answers:
            if evaluation.unit_of(submission.command) in loss.units:
                lost.append(submission)
            else:
                submission.settle(answer)
        self._take_turns(lost, loss)
        return lost, later

    async def _others_want(self, submissions: Sequence[Submission], place: int) -> bool:
        """Whether another server wants to write the same, and finds no moment to be faster."""
        if place % _LOOK_AROUND:
            return False
        return await self._turns.are_wanted(keys_in(submissions))

    def _take_turns(self, lost: Sequence[Submission], loss: Loss) -> None:
        """From now on, with what was lost to others."""
        to_others = [each for each in lost if loss.to_others or each.attempts > 1]
        self._turns.lost(keys_in(to_others))
        for submission in lost:
            submission.in_turn = bool(self._turns.contended(submission.keys))

    async def _write(
        self,
        evaluation: Evaluation,
        answers: Sequence[Answered],
        begun: datetime,
        behind: Handover | None,
    ) -> Loss:
        """Write what is to be written."""
        rows = evaluation.involved
        if not rows:
            return Loss(set(), to_others=False)
        # Only now: what is refused or rehearsed leaves nothing. It is not remembered either: when a
        # standby takes over that lacks the last commits, a row may be gone.
        if new_types := {row.key.entity_type for row in rows if row.type_is_new}:
            await self._catalogue.ensure_rows(new_types)
        batch_id = uuid4()
        if behind is not None:
            behind.offer(evaluation.rows)
        try:
            written = await write(self._writers, rows, batch_id)
        except TransactionAborted:
            return Loss({row.unit for row in rows}, to_others=False)
        except AnswerLost as lost:
            self._doubts.note(lost.backend, [row.key for row in rows])
            units = {row.unit for row in rows}
            for submission, answer in answers:
                if evaluation.unit_of(submission.command) in units:
                    submission.doubts.append(Doubt(batch_id, begun, answer))
            raise
        if behind is not None and not written.lost:
            behind.committed(written.transaction)
        return Loss(written.lost, to_others=True)

    async def _settle_doubts(self, submissions: Sequence[Submission]) -> Sequence[Submission]:
        """Answer the submissions of which an earlier attempt was committed after all."""
        if not any(submission.doubts for submission in submissions):
            return submissions
        waiting = []
        for submission in submissions:
            doubt = await self._doubts.committed(submission)
            if doubt is None:
                waiting.append(submission)
            else:
                submission.settle(doubt.answer)
        return waiting


async def _evaluate(
    evaluation: Evaluation, submissions: Sequence[Submission]
) -> tuple[list[Answered], list[Submission]]:
    """Evaluate all but those that must wait until the others are committed."""
    answers: list[Answered] = []
    later: list[Submission] = []
    held: set[EntityKey] = set()
    pace = Pace()
    for submission in submissions:
        command = submission.command
        answer: Outcome | FeatomError | None
        # What shares a key with one that waits must not overtake it.
        if held and not held.isdisjoint(submission.keys):
            answer = None
        elif isinstance(command, UpdateBatch):
            answer = await pace.walk(evaluation.evaluate_in_steps(command))
        else:
            answer = evaluation.evaluate(command)
        if pace.is_time_to_rest:
            await pace.rest()
        if answer is None:
            later.append(submission)
            held.update(submission.keys)
        else:
            answers.append((submission, answer))
    return answers, later
