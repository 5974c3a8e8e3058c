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
4. Each command is answered after the commit. What depends on a row that lost its race is undecided.
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
from collections.abc import Sequence
from typing import Final
from uuid import uuid4

from application.evaluation import Evaluation
from codec.timestamps import from_datetime
from domain.errors import FeatomError, LimitExceeded
from domain.limits import Limits
from domain.outcome import Outcome
from domain.update import Command
from repository.connections.commits_in_doubt import CommitsInDoubt
from repository.connections.isolation import ReadCommittedPool, SerializablePool
from repository.connections.pool import AnswerLost, TransactionAborted
from repository.entity_types.catalogue import Catalogue
from repository.writing.answers import Answered, Left, doubt, evaluate, settle
from repository.writing.chaining import ChainBroken, ChainLink
from repository.writing.contention import ContentionLocks
from repository.writing.in_doubt import InDoubtTransactions
from repository.writing.pending_command import Pending, keys_in, split, untried
from repository.writing.row import involved
from repository.writing.snapshot import Snapshot, read_snapshot
from repository.writing.transaction import (
    NOTHING_TO_WRITE,
    EpochPassed,
    Loss,
    all_lost,
    loss_of,
    write,
)
from repository.writing.weighing import HEAVY, Weights, admit

log = logging.getLogger(__name__)

_LOOK_AROUND: Final = 8
"""After so many batches right behind one another it is asked whether other servers wait."""


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
        batch: Sequence[Pending],
        ahead: ChainLink | None = None,
        behind: ChainLink | None = None,
    ) -> list[Pending]:
        """Try to commit; answers what is decided, and returns what is not, in order.

        With a batch `ahead`, nothing is written or answered before that is committed, or at all if
        it is not. A batch `behind` may follow.
        Raises ChainBroken, StillInDoubt, DatabaseUnavailable or AnswerLost, and what PostgreSQL
        says of data that it cannot take; what was not answered then is undecided.
        """
        contended = self._contention.contended(keys_in(batch))
        if contended and ahead is None:
            return await self._contention.take(contended, lambda: self._attempt(batch))
        return await self._attempt(batch, ahead, behind)

    async def _attempt(
        self,
        batch: Sequence[Pending],
        ahead: ChainLink | None = None,
        behind: ChainLink | None = None,
    ) -> list[Pending]:
        """Commit what can be committed at once, and then what must wait for that."""
        lost, later, put_off = await self._commit(batch, ahead, behind)
        if not later:
            return [*lost, *put_off]
        now = asyncio.get_running_loop().time()
        free, held = split([each for each in later if each.is_live(now)], keys_in(lost))
        for pending in held:
            pending.lost_to_a_change = all(each.lost_to_a_change for each in lost)
        return [*lost, *(await self._attempt(free) if free else ()), *held, *put_off]

    async def _commit(
        self,
        batch: Sequence[Pending],
        ahead: ChainLink | None,
        behind: ChainLink | None,
    ) -> Left[Pending]:
        """Commit what can be committed at once."""
        heavy = [pending for pending in batch if pending.is_heavy]
        # What is left of an entity is not handed over, and nothing of what is erased is.
        erases = any(pending.alone for pending in heavy)
        if ahead is not None and (erases or await self._is_wanted_elsewhere(batch, ahead.place)):
            raise ChainBroken
        await self._transactions_in_doubt.decide(keys_in(batch))
        generation = self._in_doubt.generation
        most, put_off = 0, list[Pending]()
        if weighs := any(pending.weight for pending in heavy):
            batch, put_off, most = await self._admit(batch)
        if not batch:
            return Left([], [], untried(put_off))
        snapshot = await self._read([pending.command for pending in batch], most)
        if snapshot.unread:
            batch, unread = split(batch, snapshot.unread)
            await self.weights.note(snapshot.unread, unread)
            put_off[:0] = unread
        if ahead is not None:
            if put_off:
                raise ChainBroken
            snapshot = await ahead.inherit(snapshot)
        batch = await self._transactions_in_doubt.answer_committed(batch)
        answers, later = await evaluate(snapshot, batch)
        if weighs:
            for row in snapshot.rows.values():
                row.read_again = None  # what was read need not be held beside what it became
        if ahead is not None:
            await ahead.follow()
        # What must wait comes before all that may follow; and what follows holds the aggregates
        # beside what is written of them, which is too much of a command about very many bytes.
        is_large = any(pending.weight > HEAVY for pending in batch)
        followed = None if later or put_off or erases or is_large else behind
        lets_go = weighs and followed is None  # who follows begins with what is here
        loss = await self._write(snapshot, answers, followed, lets_go)
        if snapshot.in_doubt and not loss.committed:
            await self._in_doubt.settle(generation)
        lost = settle(snapshot.rows, answers, loss)
        self._note_contention(lost, loss)
        return Left(lost, later, untried(put_off))

    async def _admit(
        self, batch: Sequence[Pending]
    ) -> tuple[Sequence[Pending], list[Pending], int]:
        """What of a heavy batch may be read now, what must wait, and how large each aggregate may
        be; answers what is too large ever to be read.
        """
        limit = self._limits.batch_bytes
        sizes = await self.weights.weigh(keys_in(batch))
        admission = admit(batch, sizes, limit)
        for pending in await self._transactions_in_doubt.answer_committed(admission.too_large):
            known = await self._known_outcome(pending.command)
            too_much = LimitExceeded("bytes of aggregates in a batch", limit, pending.weight)
            pending.settle(known or too_much)
        return admission.admitted, admission.put_off, admission.most

    async def _known_outcome(self, command: Command) -> Outcome | FeatomError | None:
        """What was applied once is answered so, also if its aggregates are too large since."""
        generation = self._in_doubt.generation
        found = await self._read([command], 0)
        now = from_datetime(found.now)
        outcome = Evaluation(found.rows, found.known, now).known_outcome(command)
        if found.in_doubt:  # a refusal for its size rests on it too
            await self._in_doubt.settle(generation)
        return outcome

    async def _read(self, commands: Sequence[Command], most: int) -> Snapshot:
        """`most` is how large an aggregate may be even if it is too large for a light batch."""
        return await read_snapshot(self._readers, self._catalogue, commands, self._limits, most)

    async def _is_wanted_elsewhere(self, batch: Sequence[Pending], place: int) -> bool:
        """Whether another server wants to write the same, and finds no moment to be faster."""
        if place % _LOOK_AROUND:
            return False
        return await self._contention.are_wanted_elsewhere(keys_in(batch))

    def _note_contention(self, lost: Sequence[Pending], loss: Loss) -> None:
        """From now on, with what was lost to others."""
        to_others = [each for each in lost if loss.to_others or each.attempts > 1]
        self._contention.lost(keys_in(each for each in to_others if not each.lost_to_a_change))
        for pending in lost:
            pending.is_contended = bool(self._contention.contended(pending.keys))

    async def _write(
        self,
        snapshot: Snapshot,
        answers: Sequence[Answered[Pending]],
        behind: ChainLink | None,
        lets_go: bool,
    ) -> Loss:
        """Write what is to be written."""
        rows = involved(snapshot.rows)
        if not rows:
            return NOTHING_TO_WRITE
        # Only now: what is refused or rehearsed leaves nothing. It is not remembered either: when a
        # standby takes over that lacks the last commits, a row may be gone.
        if new_types := {row.key.entity_type for row in rows if row.type_is_new}:
            await self._catalogue.ensure_rows(new_types)
        batch_id = uuid4()
        if behind is not None:
            behind.offer(snapshot.rows)
        try:
            written = await write(self._writers, rows, batch_id, lets_go=lets_go)
        except EpochPassed:
            log.info("the epoch was raised: all connections are made anew")
            # One of the two pools has connections from before.
            await self._readers.renew()
            await self._writers.renew()
            return all_lost(rows)
        except TransactionAborted:
            return all_lost(rows)
        except AnswerLost as lost:
            self._transactions_in_doubt.note(lost.backend, [row.key for row in rows])
            doubt(snapshot, answers, rows, batch_id)
            raise
        if behind is not None and not written.lost:
            behind.committed(written.transaction)
        return loss_of(written, rows)
