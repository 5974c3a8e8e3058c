"""Bulk writes: which rows go together, and what became of each. No I/O.

Rows travel in batches: each batch is one BatchUpdateFeatures, and so one transaction, many of which
are under way at a time. A batch with a row that is refused is refused as a whole; its halves are
then written one after the other, down to the row. Rows of one entity are applied in their order: a
batch waits for those ahead of it that are about one of its entities.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from featom_client import calls
from featom_client.answers import Updated
from featom_client.calls import Call
from featom_client.errors import (
    AggregateExists,
    EtagMismatch,
    FeatomError,
    InvalidRequest,
    Refused,
)
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
