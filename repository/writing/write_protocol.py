"""The write protocol: read, evaluate, write if nothing changed in between, then answer.

1. Read the rows, the request ids that are known, the revisions of the entity types, and the time,
   at READ COMMITTED. Aggregates that are too large for this batch are not read: what is about
   them is put off, to come again in a heavy one (the module weighing).
2. The domain applies each command to the state that the previous one left. One that fails gets
   its error and changes nothing.
3. One SERIALIZABLE transaction, in one round trip wherever it can be, writes each row whose xmin
   and version are still those that were read, and whose entity type still has the revision that
   was read and is not being changed. Of what must be written together, the rows that stay as they
   are must be so too.
4. Each command is answered after the commit. What hangs on a row that lost its race is undecided.
   Where nothing was written, an answer rests on the commits of others: if one of those is in doubt,
   a barrier comes first.

A batch right behind another takes what that one changes from it instead of from the database, in
step 2, and waits for its commit before step 3.

The check of xmin and version carries the promise that no update is lost; SERIALIZABLE is the second
net. After Kung and Robinson, "On Optimistic Methods for Concurrency Control" (1981).
"""

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple, TypeAlias
from uuid import uuid4

from codec.timestamps import from_datetime
from domain.entity_key import EntityKey
from domain.errors import FeatomError, LimitExceeded
from domain.limits import Limits
from domain.outcome import Outcome
from domain.update import Command, UpdateBatch
from repository.connections.commits_in_doubt import CommitsInDoubt
from repository.connections.isolation import ReadCommittedPool, SerializablePool
from repository.connections.pool import AnswerLost, TransactionAborted
from repository.entity_types.catalogue import Catalogue
from repository.writing.chaining import ChainBroken, ChainLink
from repository.writing.contention import ContentionLocks
from repository.writing.evaluation import Evaluation
from repository.writing.in_doubt import InDoubtTransactions
from repository.writing.snapshot import Snapshot, read_snapshot
from repository.writing.submission import InDoubtAttempt, Submission, is_live, keys_in, split
from repository.writing.transaction import EpochPassed, write
from repository.writing.weighing import HEAVY, MADE, Weights, admit
from runtime.time_slice import TimeSlice

log = logging.getLogger(__name__)

Answered: TypeAlias = tuple[Submission, Outcome | FeatomError]

_LOOK_AROUND: Final = 8
"""After so many batches right behind one another it is asked whether others want a turn."""


class Loss(NamedTuple):
    """What a write did not write."""

    units: set[int]
    to_others: bool
    """Whether another writer certainly was faster. SERIALIZABLE also aborts where nobody wrote the
    same, but hardly ever two times in a row."""
    committed: bool = False
    """Whether anything was written: whoever is answered then rests on a commit of his own."""
    to_a_change: Collection[int] = ()
    """Units that no writer was faster with: one of their entity types is being changed."""


class Left(NamedTuple):
    """What an attempt did not decide. Of what shares a key, each part comes before the next."""

    lost: list[Submission]
    later: list[Submission]
    """What was not tried because it must wait for the rest."""
    put_off: list[Submission]
    """What was not tried because it is heavy, or comes behind something that is."""


class WriteProtocol:
    """Commits batches of commands, one attempt at a time."""

    def __init__(
        self,
        readers: ReadCommittedPool,
        writers: SerializablePool,
        in_doubt: CommitsInDoubt,
        catalogue: Catalogue,
        limits: Limits,
    ) -> None:
        self._readers = readers
        self._writers = writers
        self._in_doubt = in_doubt
        self._catalogue = catalogue
        self._limits = limits
        self._contention = ContentionLocks(readers, time.monotonic)
        self._transactions_in_doubt = InDoubtTransactions(readers, in_doubt)
        self.weights = Weights(readers)

    async def close(self) -> None:
        """Decide what is still in doubt, but not for long.

        Must be called when the pool of writers is closed, and before that of readers is.
        """
        await self._transactions_in_doubt.close()

    async def attempt(
        self,
        submissions: Sequence[Submission],
        ahead: ChainLink | None = None,
        behind: ChainLink | None = None,
    ) -> list[Submission]:
        """Try to commit; answers what is decided, and returns what is not, in order.

        With a batch `ahead`, nothing is written or answered before that is committed, or at all if
        it is not. A batch `behind` may follow.
        Raises ChainBroken, StillInDoubt, DatabaseUnavailable or AnswerLost, and what PostgreSQL
        says of data that it cannot take; what was not answered then is undecided.
        """
        contended = self._contention.contended(keys_in(submissions))
        if contended and ahead is None:
            return await self._contention.take(contended, lambda: self._attempt(submissions))
        return await self._attempt(submissions, ahead, behind)

    async def _attempt(
        self,
        submissions: Sequence[Submission],
        ahead: ChainLink | None = None,
        behind: ChainLink | None = None,
    ) -> list[Submission]:
        """Commit what can be committed at once, and then what must wait for that."""
        lost, later, put_off = await self._commit(submissions, ahead, behind)
        if not later:
            return [*lost, *put_off]
        now = asyncio.get_running_loop().time()
        free, held = split([each for each in later if is_live(now, each)], keys_in(lost))
        for submission in held:
            submission.lost_to_a_change = all(each.lost_to_a_change for each in lost)
        return [*lost, *(await self._attempt(free) if free else ()), *held, *put_off]

    async def _commit(
        self,
        submissions: Sequence[Submission],
        ahead: ChainLink | None,
        behind: ChainLink | None,
    ) -> Left:
        """Commit what can be committed at once."""
        # What is left of an entity is not handed over, and nothing of what is erased is.
        erases = any(submission.alone for submission in submissions)
        if ahead is not None and (
            erases or await self._is_wanted_elsewhere(submissions, ahead.place)
        ):
            raise ChainBroken
        await self._transactions_in_doubt.decide(keys_in(submissions))
        generation = self._in_doubt.generation
        most, put_off = 0, list[Submission]()
        if is_heavy := any(submission.weight for submission in submissions):
            submissions, put_off, most = await self._admit(submissions)
        if not submissions:
            return Left([], [], _untried(put_off))
        snapshot, submissions, unread = await self._read(submissions, most)
        put_off[:0] = unread
        if ahead is not None:
            if put_off:
                raise ChainBroken
            snapshot = await ahead.inherit(snapshot)
        waiting = await self._resolve_in_doubt(submissions)
        evaluation = Evaluation(snapshot.rows, snapshot.known, from_datetime(snapshot.now))
        answers, later = await _evaluate(evaluation, waiting)
        if is_heavy:
            for row in snapshot.rows.values():
                row.again = None  # what was read need not be held beside what it became
        if ahead is not None:
            await ahead.follow()
        # What must wait comes before all that may follow; and what follows holds the aggregates
        # beside what is written of them, which is too much of a command about very many bytes.
        is_large = any(submission.weight > HEAVY for submission in submissions)
        followed = None if later or put_off or erases or is_large else behind
        loss = await self._write(evaluation, answers, snapshot.now, followed, is_heavy)
        if snapshot.in_doubt and not loss.committed:
            await self._in_doubt.settle(generation)
        lost = []
        for submission, answer in answers:
            unit = evaluation.unit_of(submission.command)
            if unit in loss.units:
                submission.lost_to_a_change = unit in loss.to_a_change
                lost.append(submission)
            else:
                submission.settle(answer)
        self._note_contention(lost, loss)
        return Left(lost, later, _untried(put_off))

    async def _read(
        self, submissions: Sequence[Submission], most: int
    ) -> tuple[Snapshot, Sequence[Submission], list[Submission]]:
        """Read what is not too large; returns also what can be evaluated now, and what cannot.

        `most` is how large an aggregate may be even if it is too large for a light batch.
        """
        commands = [submission.command for submission in submissions]
        snapshot = await self._snapshot(commands, most)
        if not snapshot.unread:
            return snapshot, submissions, []
        read, unread = split(submissions, snapshot.unread)
        sizes = await self.weights.weigh(snapshot.unread)
        for submission in unread:
            # It has a weight from now on, whatever became of its aggregates in between.
            large = snapshot.unread.intersection(submission.keys)
            weight = sum(sizes.get(key, 1) for key in large)
            submission.weight = max(submission.weight, weight)
        return snapshot, read, unread

    async def _admit(
        self, submissions: Sequence[Submission]
    ) -> tuple[list[Submission], list[Submission], int]:
        """What of a heavy batch may be read now, what must wait, and how large each aggregate may
        be; answers what is too large ever to be read.
        """
        limit = self._limits.batch_bytes
        sizes = await self.weights.weigh(keys_in(submissions))
        admission = admit(submissions, sizes, limit)
        for submission in await self._resolve_in_doubt(admission.too_large):
            known = await self._known_outcome(submission.command)
            too_much = LimitExceeded("bytes of aggregates in a batch", limit, submission.weight)
            submission.settle(known or too_much)
        return admission.admitted, admission.put_off, admission.most

    async def _known_outcome(self, command: Command) -> Outcome | FeatomError | None:
        """What was applied once is answered so, also if its aggregates are too large since."""
        generation = self._in_doubt.generation
        found = await self._snapshot([command], 0)
        now = from_datetime(found.now)
        outcome = Evaluation(found.rows, found.known, now).known_outcome(command)
        if found.in_doubt:  # a refusal for its size rests on it too
            await self._in_doubt.settle(generation)
        return outcome

    async def _snapshot(self, commands: Sequence[Command], most: int) -> Snapshot:
        return await read_snapshot(self._readers, self._catalogue, commands, self._limits, most)

    async def _is_wanted_elsewhere(self, submissions: Sequence[Submission], place: int) -> bool:
        """Whether another server wants to write the same, and finds no moment to be faster."""
        if place % _LOOK_AROUND:
            return False
        return await self._contention.are_wanted_elsewhere(keys_in(submissions))

    def _note_contention(self, lost: Sequence[Submission], loss: Loss) -> None:
        """From now on, with what was lost to others."""
        to_others = [each for each in lost if loss.to_others or each.attempts > 1]
        self._contention.lost(keys_in(each for each in to_others if not each.lost_to_a_change))
        for submission in lost:
            submission.is_contended = bool(self._contention.contended(submission.keys))

    async def _write(
        self,
        evaluation: Evaluation,
        answers: Sequence[Answered],
        begun: datetime,
        behind: ChainLink | None,
        is_heavy: bool,
    ) -> Loss:
        """Write what is to be written."""
        rows = evaluation.involved
        if not rows:
            return Loss(set(), to_others=False)
        # Only now: what is refused or rehearsed leaves nothing. It is not remembered either: when a
        # standby takes over that lacks the last commits, a row may be gone.
        if new_types := {row.key.entity_type for row in rows if row.type_is_new}:
            await self._catalogue.ensure_rows(new_types)
        units = {row.unit for row in rows}
        batch_id = uuid4()
        if behind is not None:
            behind.offer(evaluation.rows)
        try:
            lets_go = is_heavy and behind is None  # who follows begins with what is here
            written = await write(self._writers, rows, batch_id, lets_go=lets_go)
        except EpochPassed:
            log.info("the epoch was raised: all connections are made anew")
            # One of the two pools has connections from before.
            await self._readers.renew()
            await self._writers.renew()
            return Loss(units, to_others=False)
        except TransactionAborted:
            return Loss(units, to_others=False)
        except AnswerLost as lost:
            self._transactions_in_doubt.note(lost.backend, [row.key for row in rows])
            for submission, answer in answers:
                if evaluation.unit_of(submission.command) in units:
                    submission.attempts_in_doubt.append(InDoubtAttempt(batch_id, begun, answer))
            raise
        if behind is not None and not written.lost:
            behind.committed(written.transaction)
        not_written = units if written.undone else written.lost
        return Loss(
            not_written,
            to_others=not written.undone,
            committed=not_written != units,
            to_a_change=written.to_a_change,
        )

    async def _resolve_in_doubt(self, submissions: Sequence[Submission]) -> Sequence[Submission]:
        """Answer the submissions of which an earlier attempt was committed after all."""
        if not any(submission.attempts_in_doubt for submission in submissions):
            return submissions
        waiting = []
        for submission in submissions:
            doubt = await self._transactions_in_doubt.committed(submission)
            if doubt is None:
                waiting.append(submission)
            else:
                submission.settle(doubt.answer)
        return waiting


def _untried(put_off: list[Submission]) -> list[Submission]:
    """What is put off: it was no attempt."""
    for submission in put_off:
        submission.put_off = True
        submission.attempts -= 1
    return put_off


async def _evaluate(
    evaluation: Evaluation, submissions: Sequence[Submission]
) -> tuple[list[Answered], list[Submission]]:
    """Evaluate all but those that must wait until the others are committed."""
    answers: list[Answered] = []
    later: list[Submission] = []
    held: set[EntityKey] = set()
    time_slice = TimeSlice()
    for submission in submissions:
        if evaluation.made > MADE:
            later.append(submission)
            continue
        command = submission.command
        answer: Outcome | FeatomError | None
        # What shares a key with one that waits must not overtake it.
        if held and not held.isdisjoint(submission.keys):
            answer = None
        elif isinstance(command, UpdateBatch):
            answer = await time_slice.walk(evaluation.evaluate_in_steps(command))
        else:
            answer = evaluation.evaluate(command)
        if time_slice.is_used_up:
            await time_slice.rest()
        if answer is None:
            later.append(submission)
            held.update(submission.keys)
        else:
            answers.append((submission, answer))
    return answers, later
