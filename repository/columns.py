"""The arguments of `write_batch`: the rows of a batch as one array a column."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

from repository.codec.instants import to_datetime
from repository.codec.state import dump_aggregate
from repository.row import Row

_READ: Final = 6
_WRITTEN: Final = 8
_DELETED: Final = 3
_CHANGED: Final = 9
_REQUESTED: Final = 7
_TYPES: Final = 2


def write_arguments(rows: Sequence[Row], batch_id: UUID) -> list[Any]:
    """Everything that the rows want written. They must be in the order of their keys, which is the
    order in which PostgreSQL then locks them."""
    written = [row for row in rows if row.writes]
    existed = [row for row in written if row.read is not None]
    return [
        *_columns(map(_as_read, existed), _READ),
        *_columns((_content(row) for row in existed if row.aggregate.exists), _WRITTEN),
        *_columns(
            (_content(row) for row in written if row.read is None and row.aggregate.exists),
            _WRITTEN,
        ),
        *_columns(((row.unit, *row.key) for row in existed if not row.aggregate.exists), _DELETED),
        *_columns(_changes(rows), _CHANGED),
        *_columns(_requests(rows), _REQUESTED),
        batch_id,
        *_columns(sorted({row.key.entity_type: row.type_revision for row in rows}.items()), _TYPES),
        *_columns(sorted({(row.unit, row.key.entity_type) for row in rows}), _TYPES),
    ]


def _columns(rows: Iterable[tuple[Any, ...]], width: int) -> list[Sequence[Any]]:
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    return columns or [()] * width


def _as_read(row: Row) -> tuple[Any, ...]:
    assert row.read is not None
    return row.unit, row.number, *row.key, *row.read


def _content(row: Row) -> tuple[Any, ...]:
    aggregate = row.aggregate
    return (
        row.unit,
        *row.key,
        aggregate.uid,
        aggregate.version,
        dump_aggregate(aggregate),
        to_datetime(aggregate.create_time),
        to_datetime(aggregate.update_time),
    )


def _changes(rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        for change, encoded, state in row.changes:
            yield (
                row.unit,
                *row.key,
                change.uid,
                change.version,
                to_datetime(change.commit_time),
                change.request_id,
                encoded,
                state,
            )


def _requests(rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        for request_id, commit_time, fingerprint, outcome in row.requests:
            time = to_datetime(commit_time)
            yield row.unit, *row.key, request_id, time, fingerprint, outcome
