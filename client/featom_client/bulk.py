"""Bulk writes: which rows go together, and what became of each. No I/O.

Rows travel in batches: each batch is one BatchUpdateFeatures, and so one transaction, many of which
are under way at a time. A batch with a row that is refused is refused as a whole; its halves are
then written one after the other, down to the row. Rows of one entity are applied in their order: a
batch waits for those ahead of it that are about one of its entities.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

from featom_client import calls
from featom_client.answers import Updated
from featom_client.calls import Call
from featom_client.errors import (
    AggregateExists,
    CallTimeout,
    EtagMismatch,
    FeatomError,
    InvalidRequest,
    Refused,
)
from featom_client.operations import Change
from featom_client.rows import RefusedRow, Row

BATCH_ROWS: Final = 100
BATCH_BYTES: Final = 2**20
BATCHES_IN_FLIGHT: Final = 8

REFUSALS: Final = (InvalidRequest, Refused, EtagMismatch, AggregateExists)
"""Errors that are about a row, so that the others can go on."""


@dataclass(frozen=True)
class StaleRow:
    """A row that was written, but for features that have newer values."""

    row: int
    features: tuple[str, ...]


@dataclass
class WriteResult:
    """What became of the rows of a bulk write."""

    written: int = 0
    """How many rows were written, those with stale features included."""
    replayed: int = 0
    """How many of these were known to the server already, after a lost answer."""
    stale: list[StaleRow] = field(default_factory=list)
    refused: list[RefusedRow] = field(default_factory=list)
    unconfirmed: list[int] = field(default_factory=list)
    """Rows of a write that was stopped, of which it is not known that they were written."""

    def add(self, rows: Sequence[Row], outcomes: Sequence[Updated]) -> None:
        self.written += len(rows)
        for row, outcome in zip(rows, outcomes, strict=True):
            self.replayed += outcome.replayed
            if outcome.stale:
                self.stale.append(StaleRow(row.number, outcome.stale))

    def in_order(self) -> "WriteResult":
        """The same, with all lists in the order of the rows."""
        self.stale.sort(key=lambda each: each.row)
        self.refused.sort(key=lambda each: each.row)
        self.unconfirmed.sort()
        return self


class WriteStopped(FeatomError):
    """A bulk write could not go on; `result` says what was written, `__cause__` why it stopped.

    Rows in `result.unconfirmed`, and those that were not read yet, can be written again.
    """

    def __init__(self, message: str, *, result: WriteResult | None = None) -> None:
        super().__init__(message)
        self.result = result or WriteResult()


class Batches:
    """Gathers rows into batches."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._bytes = 0

    def add(self, row: Row) -> list[Row] | None:
        """Gives a batch if one is full without this row, or with it."""
        size = row.request.ByteSize()
        if self._rows and self._bytes + size > BATCH_BYTES:
            full = self.rest()
            self._rows, self._bytes = [row], size
            return full
        self._rows.append(row)
        self._bytes += size
        return self.rest() if len(self._rows) >= BATCH_ROWS else None

    def rest(self) -> list[Row]:
        rows, self._rows, self._bytes = self._rows, [], 0
        return rows


def call_of(rows: Sequence[Row]) -> Call[tuple[Updated, ...]]:
    return calls.update_batch(row.request for row in rows)


def halves(rows: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row]]:
    middle = len(rows) // 2
    return rows[:middle], rows[middle:]


class Sending(Protocol):
    """A batch on its way: a future, or a task."""

    def done(self) -> bool:
        """Whether it is answered."""
        ...


Sent = TypeVar("Sent", bound=Sending)


class Job(Generic[Sent]):
    """What a bulk write has sent and learned so far: all of a stream but how it waits."""

    def __init__(self, call_seconds: float, job_seconds: float) -> None:
        """`call_seconds` is for each batch, `job_seconds` for the whole."""
        self._call_seconds = call_seconds
        self._deadline = time.monotonic() + job_seconds
        self._batches = Batches()
        self._last: dict[tuple[str, str], Sent] = {}
        """The newest batch about each entity that is under way."""
        self._result = WriteResult()
        self._failure: BaseException | None = None
        self._rows = 0

    @property
    def result(self) -> WriteResult:
        """What became of the rows that are answered."""
        return self._result

    def _row(
        self,
        entity_type: str,
        entity_id: str,
        changes: Mapping[str, Change],
        event_time: datetime | None,
    ) -> Row:
        """The next row. Raises InvalidRequest."""
        request = calls.update_request(entity_type, entity_id, changes, event_time=event_time)
        return Row(self._rows, request)

    def _ahead_of(self, batch: Sequence[Row]) -> set[Sent]:
        """The batches under way that a batch must wait for."""
        return {self._last[row.key] for row in batch if row.key in self._last}

    def _note(self, batch: Sequence[Row], sent: Sent) -> None:
        """Others about the same entities wait for it from now on."""
        self._last.update({row.key: sent for row in batch})
        if len(self._last) > 2 * BATCHES_IN_FLIGHT * BATCH_ROWS:
            self._last = {key: each for key, each in self._last.items() if not each.done()}

    def _leave(self, rows: Sequence[Row]) -> None:
        self._result.unconfirmed += [row.number for row in rows]

    def _seconds_left(self) -> float:
        """For the next call. Raises CallTimeout."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise CallTimeout("the time of the bulk write was up")
        return min(left, self._call_seconds)

    def _stopped(self) -> WriteStopped:
        """To be raised from the failure, once all that is under way is answered."""
        self._leave(self._batches.rest())
        return WriteStopped(str(self._failure), result=self._result.in_order())
