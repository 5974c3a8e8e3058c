"""The arguments of `write_batch`: the rows of a batch as one array a column."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

from domain.outcome import DeletionOutcome, Outcome
from repository.batch import Row
from repository.codec.instants import to_datetime
from repository.codec.state import dump_aggregate

_UPDATED: Final = 10
_INSERTED: Final = 7
_DELETED: Final = 5
_CHANGED: Final = 9
_REQUESTED: Final = 11


def write_arguments(rows: Sequence[Row], batch_id: UUID) -> list[Any]:
    """Everything that the rows want written. They must be in the order of their keys, which is the
    order in which PostgreSQL then locks them."""
    written = [row for row in rows if row.writes]
    return [
        *_columns(_updated(written), _UPDATED),
        *_columns(_inserted(written), _INSERTED),
        *_columns(_deleted(written), _DELETED),
        *_columns(_changed(rows), _CHANGED),
        *_columns(_requested(rows), _REQUESTED),
        batch_id,
    ]


def _columns(rows: Iterable[tuple[Any, ...]], width: int) -> list[Sequence[Any]]:
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    return columns or [()] * width


def _updated(rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        if row.read is not None and row.aggregate.exists:
            yield row.number, *row.key, *row.read, *_content(row)


def _inserted(rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        if row.read is None and row.aggregate.exists:
            yield *row.key, *_content(row)


def _content(row: Row) -> tuple[Any, ...]:
    aggregate = row.aggregate
    return (
        aggregate.uid,
        aggregate.version,
        dump_aggregate(aggregate),
        to_datetime(aggregate.create_time),
        to_datetime(aggregate.update_time),
    )


def _deleted(rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        if row.read is not None and not row.aggregate.exists:
            yield row.number, *row.key, *row.read


def _changed(rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        for change, encoded, state in row.changes:
            yield (
                row.guard,
                *row.key,
                change.uid,
                change.version,
                to_datetime(change.commit_time),
                change.request_id,
                encoded,
                state,
            )


def _requested(rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        for command, commit_time, known in row.requests:
            head = (row.guard, *row.key, command.request_id, to_datetime(commit_time))
            yield *head, known.fingerprint, *_remembered(row, known.outcome)


def _remembered(row: Row, outcome: Outcome) -> tuple[Any, ...]:
    """What it takes to give the same answer again."""
    if isinstance(outcome, DeletionOutcome):
        deleted = True
        return row.aggregate.uid, outcome.version, to_datetime(outcome.delete_time), "", deleted
    stale = ",".join(outcome.stale_features)
    return outcome.uid, outcome.version, to_datetime(outcome.update_time), stale, False
