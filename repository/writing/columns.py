"""The arguments of `write_batch`: the rows of a batch as one argument a column."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias
from uuid import UUID

from codec.state import dump_aggregate
from repository.array_arguments import lines, numbers, times, uuids
from repository.writing.row import Row
from runtime.time_slice import LARGE, TimeSlice

Columns: TypeAlias = tuple[Callable[[Sequence[Any]], object], ...]
"""How each column of a table becomes an argument."""

_VALUES: Final = list
_READ: Final[Columns] = (numbers, numbers, lines, lines, numbers, numbers)
_KEYED: Final[Columns] = (numbers, lines, lines)
"""The unit and the key."""
_WRITTEN: Final[Columns] = (*_KEYED, uuids, numbers, _VALUES, times, times)
_DELETED: Final[Columns] = _KEYED
_CHANGED: Final[Columns] = (*_KEYED, uuids, numbers, times, uuids, _VALUES, _VALUES)
_REQUESTED: Final[Columns] = (*_KEYED, uuids, times, _VALUES, _VALUES)
_TYPES: Final[Columns] = (lines, numbers)
_TYPES_OF_UNITS: Final[Columns] = (numbers, lines)


async def write_arguments(rows: Sequence[Row], batch_id: UUID) -> list[Any]:
    """Everything that the rows want written, and what they must still be for that. They must be in
    the order of their keys, which is the order in which PostgreSQL then locks them."""
    states = await _states(rows)

    def content(row: Row) -> tuple[Any, ...]:
        return _content(row, states[row.number])

    written = [row for row in rows if row.writes]
    existed = [row for row in written if row.read is not None]
    # What is to stay absent is among them: see is_kept_absent.
    made = [row for row in rows if row.read is None and (row.aggregate.exists or not row.advanced)]
    return [
        *_columns((_as_read(row) for row in rows if row.read is not None), _READ),
        *_columns((content(row) for row in existed if row.aggregate.exists), _WRITTEN),
        *_columns(map(content, made), _WRITTEN),
        *_columns(((row.unit, *row.key) for row in existed if not row.aggregate.exists), _DELETED),
        *_columns(_changes(rows), _CHANGED),
        *_columns(_requests(rows), _REQUESTED),
        batch_id,
        *_columns(sorted({row.key.entity_type: row.type_revision for row in rows}.items()), _TYPES),
        *_columns(sorted({(row.unit, row.key.entity_type) for row in rows}), _TYPES_OF_UNITS),
    ]


async def _states(rows: Iterable[Row]) -> dict[int, bytes]:
    """What the rows hold in the end; of a heavy batch that takes long."""
    states: dict[int, bytes] = {}
    time_slice = TimeSlice()
    for row in rows:
        if row.writes or row.is_kept_absent:
            state = states[row.number] = row.keyframe or dump_aggregate(row.aggregate)
            if len(state) > LARGE and time_slice.is_used_up:
                await time_slice.rest()
    return states


def _columns(rows: Iterable[tuple[Any, ...]], columns: Columns) -> list[object]:
    found = list(zip(*rows, strict=True)) or [()] * len(columns)
    return [as_argument(column) for as_argument, column in zip(columns, found, strict=True)]


def _as_read(row: Row) -> tuple[Any, ...]:
    assert row.read is not None
    return row.unit, row.number, *row.key, row.read.xmin, row.read.version


def _content(row: Row, state: bytes) -> tuple[Any, ...]:
    aggregate = row.aggregate
    return (
        row.unit,
        *row.key,
        aggregate.uid,
        aggregate.version,
        state,
        aggregate.create_time,
        aggregate.update_time,
    )


def _changes(rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        for recorded in row.changes:
            change = recorded.change
            yield (
                row.unit,
                *row.key,
                change.uid,
                change.version,
                change.commit_time,
                change.request_id,
                recorded.encoded,
                recorded.state,
            )


def _requests(rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        for request in row.requests:
            yield (
                row.unit,
                *row.key,
                request.request_id,
                request.commit_time,
                request.fingerprint,
                request.outcome,
            )
