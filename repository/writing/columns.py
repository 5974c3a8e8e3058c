"""The arguments of `write_batch`: the rows of a batch as one argument a column.

A column stands here once and in `sql/write.sql` once, under the same name.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from codec.state import dump_aggregate
from repository.array_arguments import lines, numbers, times, uuids
from repository.statements import WRITE, require_same_names
from repository.writing.row import Row
from runtime.time_slice import LARGE, TimeSlice

_PARAMETERS: Final = WRITE.parameters["write_batch"]


class Contents(NamedTuple):
    """Rows, and what each of them is to hold."""

    rows: list[Row]
    states: list[bytes]


class Written(NamedTuple):
    """The rows that are to be another way than they were read."""

    updated: Contents
    inserted: Contents
    """Also those that are to stay absent: see Row.is_kept_absent."""
    deleted: list[Row]


async def write_arguments(rows: Sequence[Row], batch_id: UUID) -> list[Any]:
    """Everything that the rows want written, and what they must still be for that. They must be in
    the order of their keys, which is the order in which PostgreSQL then locks them."""
    columns = _columns(rows, await _written(rows), batch_id)
    return [columns[name] for name in _PARAMETERS]


async def _written(rows: Iterable[Row]) -> Written:
    """Of a heavy batch that takes long."""
    written = Written(Contents([], []), Contents([], []), [])
    time_slice = TimeSlice()
    for row in rows:
        if row.read is None:
            # A deletion waits until what it deletes is there. Else the row would be in no table,
            # and nobody would ask whether its entity type is another one by now.
            assert row.aggregate.exists or not row.advanced
            contents = written.inserted
        elif not row.writes:
            continue
        elif row.aggregate.exists:
            contents = written.updated
        else:
            written.deleted.append(row)
            continue
        state = row.keyframe or dump_aggregate(row.aggregate)
        contents.rows.append(row)
        contents.states.append(state)
        if len(state) > LARGE and time_slice.is_used_up:
            await time_slice.rest()
    return written


def _columns(rows: Sequence[Row], written: Written, batch_id: UUID) -> Mapping[str, object]:
    types = sorted({row.key.entity_type: row.type_revision for row in rows}.items())
    return {
        **_read(rows),
        **_contents("updated", written.updated),
        **_contents("inserted", written.inserted),
        **_keyed("deleted", written.deleted),
        **_recorded(rows),
        **_remembered(rows),
        "batch_id": batch_id,
        "types.name": lines([name for name, _ in types]),
        "types.revision": numbers([revision for _, revision in types]),
    }


def _keyed(table: str, rows: Sequence[Row]) -> Mapping[str, object]:
    return {
        f"{table}.unit": numbers([row.unit for row in rows]),
        f"{table}.entity_type": lines([row.key.entity_type for row in rows]),
        f"{table}.entity_id": lines([row.key.entity_id for row in rows]),
    }


def _read(rows: Sequence[Row]) -> Mapping[str, object]:
    rows = [row for row in rows if row.read is not None]
    read = [row.read for row in rows if row.read is not None]
    return {
        **_keyed("read", rows),
        "read.row_number": numbers([row.number for row in rows]),
        "read.xmin": numbers([stored.xmin for stored in read]),
        "read.version": numbers([stored.version for stored in read]),
    }


def _contents(table: str, contents: Contents) -> Mapping[str, object]:
    aggregates = [row.aggregate for row in contents.rows]
    return {
        **_keyed(table, contents.rows),
        f"{table}.uid": uuids([aggregate.uid for aggregate in aggregates]),
        f"{table}.version": numbers([aggregate.version for aggregate in aggregates]),
        f"{table}.state": contents.states,
        f"{table}.create_time": times([aggregate.create_time for aggregate in aggregates]),
        f"{table}.update_time": times([aggregate.update_time for aggregate in aggregates]),
    }


def _recorded(rows: Sequence[Row]) -> Mapping[str, object]:
    # Those with a keyframe come first: PostgreSQL fills a column up that is shorter than others,
    # and the driver looks closely at every element.
    pairs = [(row, each) for row in rows for each in row.changes if each.state is not None]
    keyframes = [each.state for _, each in pairs]
    pairs += [(row, each) for row in rows for each in row.changes if each.state is None]
    changes = [each.change for _, each in pairs]
    return {
        **_keyed("recorded", [row for row, _ in pairs]),
        "recorded.uid": uuids([change.uid for change in changes]),
        "recorded.version": numbers([change.version for change in changes]),
        "recorded.commit_time": times([change.commit_time for change in changes]),
        "recorded.request_id": uuids([change.request_id for change in changes]),
        "recorded.change": [each.encoded for _, each in pairs],
        "recorded.state": keyframes,
    }


def _remembered(rows: Sequence[Row]) -> Mapping[str, object]:
    requests = [request for row in rows for request in row.requests]
    return {
        **_keyed("remembered", [row for row in rows for _ in row.requests]),
        "remembered.request_id": uuids([request.request_id for request in requests]),
        "remembered.commit_time": times([request.commit_time for request in requests]),
        "remembered.fingerprint": [request.fingerprint for request in requests],
        "remembered.outcome": [request.outcome for request in requests],
    }


_NOTHING: Final = Written(Contents([], []), Contents([], []), [])
require_same_names("write_batch", _PARAMETERS, _columns([], _NOTHING, UUID(int=0)))
