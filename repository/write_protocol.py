"""The write protocol: read, evaluate, write if nothing changed in between, then answer.

1. Read the rows, the request ids that are known, and the time, at READ COMMITTED.
2. The domain applies each command to the state that the previous one left. One that fails gets
   its error and changes nothing.
3. One SERIALIZABLE transaction, in one round trip, writes each row whose xmin and version are
   still those that were read.
4. Each command is answered after the commit. What hangs on a row that lost its race is undecided.

The check of xmin and version carries the promise that no update is lost; SERIALIZABLE is the second
net. After Kung and Robinson, "On Optimistic Methods for Concurrency Control" (1981).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from domain.limits import Limits
from repository.batch import Row
from repository.codec.instants import from_datetime
from repository.columns import write_arguments
from repository.pool import AnswerLost, Connection, Pool, TransactionAborted
from repository.snapshot import Snapshot, read_snapshot
from repository.statements import WRITE
from repository.submission import Doubt, Submission

_CLOCK_SLACK: Final = timedelta(minutes=5)
"""How far the clocks of a primary and of the standby that takes over may be apart."""


class WriteProtocol:
    """Commits batches of commands, one attempt at a time."""

    def __init__(self, readers: Pool, writers: Pool, limits: Limits, remember: timedelta) -> None:
        """`readers` are READ COMMITTED, `writers` SERIALIZABLE.

        Request ids are known for `remember`.
        """
        self._readers = readers
        self._writers = writers
        self._limits = limits
        self._remember = remember

    async def attempt(self, submissions: Sequence[Submission]) -> list[Submission]:
        """Try to commit; answers what is decided, and returns what is not, in order.

        Raises DatabaseUnavailable or AnswerLost, and what PostgreSQL says of data that it cannot
        take; what was not answered then is undecided.
        """
        commands = [submission.command for submission in submissions]
        snapshot = await read_snapshot(self._readers, commands, self._limits, self._remember)
        # After the rows were read: a batch in doubt that is not found now, and is committed later,
        # makes the write of these rows fail.
        waiting = await self._settle_doubts(submissions)
        now = from_datetime(snapshot.now)
        for submission in waiting:
            snapshot.rows[submission.command.key].evaluate(submission, snapshot.known, now)
        rows = list(snapshot.rows.values())
        lost = await self._write(rows, snapshot)
        return _answer(rows, lost)

    async def _write(self, rows: Sequence[Row], snapshot: Snapshot) -> set[int]:
        """Write what is to be written; returns the numbers of the rows that lost their race."""
        recorded = [row for row in rows if row.records]
        if not recorded:
            return set()
        batch_id = uuid4()
        try:
            written = await self._writers.run(lambda link: _transaction(link, recorded, batch_id))
        except TransactionAborted:
            return {row.number for row in recorded}
        except AnswerLost:
            _note_doubt(recorded, batch_id, snapshot.now)
            raise
        return {row.number for row in recorded if row.guard not in written}

    async def _settle_doubts(self, submissions: Sequence[Submission]) -> list[Submission]:
        """Answer the submissions of which an earlier attempt was committed after all."""
        waiting = []
        for submission in submissions:
            answer = await self._find_doubted(submission)
            if answer is None:
                waiting.append(submission)
            else:
                submission.settle(answer.answer)
        return waiting

    async def _find_doubted(self, submission: Submission) -> Doubt | None:
        key = submission.command.key
        for doubt in submission.doubts:
            since = doubt.begun - _CLOCK_SLACK
            found = await self._readers.read(
                WRITE["find_batch"], [key.entity_type], [key.entity_id], doubt.batch_id, since
            )
            if found:
                return doubt
        return None


async def _transaction(link: Connection, rows: Sequence[Row], batch_id: UUID) -> set[int]:
    """Write some rows; returns the numbers of those that were still as they were read."""
    arguments = write_arguments(rows, batch_id)
    erased = [row.key for row in rows if row.erase_history]
    if not erased:
        return {record[0] for record in await link.fetch(WRITE["write_batch"], *arguments)}
    async with link.transaction(isolation="serializable"):
        types, ids = zip(*erased, strict=True)
        await link.execute(WRITE["erase_history"], types, ids)
        written = {record[0] for record in await link.fetch(WRITE["write_batch"], *arguments)}
        if not {row.guard for row in rows} <= written:
            raise TransactionAborted  # or a history would be erased whose entity still lives
        return written


def _note_doubt(rows: Iterable[Row], batch_id: UUID, begun: datetime) -> None:
    for row in rows:
        for submission, answer in row.answers:
            submission.doubts.append(Doubt(batch_id, begun, answer))


def _answer(rows: Iterable[Row], lost: set[int]) -> list[Submission]:
    undecided = []
    for row in rows:
        for submission, answer in row.answers:
            if row.number in lost:
                undecided.append(submission)
            else:
                submission.settle(answer)
    return undecided
