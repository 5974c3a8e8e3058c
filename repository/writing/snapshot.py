"""Step 1 of the write protocol: what a batch of commands finds in the database."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from application.evaluation import KnownRequest, RequestKey
from application.working_copy import Trace
from codec.state import load_aggregate, new_aggregate
from codec.timestamps import from_datetime
from domain.entity_key import EntityKey
from domain.limits import Limits
from domain.timestamp import EARLIEST
from domain.update import Command, Deletion, keys_of
from repository.array_arguments import lines
from repository.connections.isolation import ReadCommittedPool
from repository.connections.pool import Record
from repository.entity_types.catalogue import Catalogue
from repository.statements import WRITE
from repository.writing.row import Row, StoredRow
from repository.writing.weighing import most_bytes
from runtime.time_slice import LARGE, TimeSlice


class Snapshot(NamedTuple):
    """The rows of some commands, in the order of their keys, as of one moment."""

    rows: dict[EntityKey, Row]
    known: dict[RequestKey, KnownRequest]
    now: datetime
    """The database's clock."""
    in_doubt: bool
    """Whether some of it may be lost yet."""
    unread: frozenset[EntityKey] = frozenset()
    """What was too large to be read; no row is about these."""


async def read_snapshot(
    pool: ReadCommittedPool,
    catalogue: Catalogue,
    commands: Sequence[Command],
    limits: Limits,
    most: int,
) -> Snapshot:
    """Read what `commands` are about, but no aggregate that is larger than `most` and than what a
    light batch may read.

    Raises DatabaseUnavailable or Corrupted.
    """
    keys = sorted({key for command in commands for key in keys_of(command)})
    requests = list(
        {
            (key, command.request_id): None
            for command in commands
            if command.request_id is not None
            for key in keys_of(command)
        }
    )
    arguments: list[Any] = [*_names(keys), max(most, most_bytes(len(keys)))]
    if not requests:
        records = await pool.read(WRITE.query("read_for_update"), *arguments)
        snapshot = await _snapshot(keys, records, {}, limits, catalogue)
        return await _with_traces(pool, snapshot, commands)
    arguments += _names([key for key, _ in requests])
    arguments.append([request_id for _, request_id in requests])
    records = await pool.read(WRITE.query("read_for_update_with_requests"), *arguments)
    rows = [record for record in records if record["fingerprint"] is None]
    answered = [record for record in records if record["fingerprint"] is not None]
    snapshot = await _snapshot(keys, rows, _known(requests, answered), limits, catalogue)
    return await _with_traces(pool, snapshot, commands)


async def _with_traces(
    pool: ReadCommittedPool, snapshot: Snapshot, commands: Sequence[Command]
) -> Snapshot:
    """The same, with what is left of entities that are to be erased and have no aggregate.

    If another writer has made an aggregate since the snapshot, the write notices.
    """
    keys = [
        command.key
        for command in commands
        if isinstance(command, Deletion)
        and command.erase_history
        and command.key not in snapshot.unread
        and snapshot.rows[command.key].read is None
    ]
    if keys:
        for ordinal, *last in await pool.read(WRITE.query("read_traces"), *zip(*keys, strict=True)):
            snapshot.rows[keys[ordinal - 1]].trace = _trace(*last)
    return snapshot


def _trace(uid: UUID | None, version: int | None, commit_time: datetime | None) -> Trace:
    if uid is None or version is None or commit_time is None:
        return Trace(uuid4(), 0, EARLIEST)
    return Trace(uid, version, from_datetime(commit_time))


def _names(keys: Sequence[EntityKey]) -> list[str]:
    return [lines([key.entity_type for key in keys]), lines([key.entity_id for key in keys])]


async def _snapshot(
    keys: Sequence[EntityKey],
    records: Sequence[Record],
    known: dict[RequestKey, KnownRequest],
    limits: Limits,
    catalogue: Catalogue,
) -> Snapshot:
    # In the order of the keys; what is the same for all comes with the first.
    records = sorted(records, key=itemgetter(0))
    first = records[0]
    epoch = first["epoch"]
    revisions = {
        key.entity_type: record["type_revision"] or 0
        for key, record in zip(keys, records, strict=True)
    }
    policies = await catalogue.policies(revisions, epoch)
    read: dict[EntityKey, Row] = {}
    unread: list[EntityKey] = []
    time_slice = TimeSlice()
    for key, record in zip(keys, records, strict=True):
        number, xmin, version, uid, state, type_revision, *_ = record
        policy = policies[key.entity_type]
        if uid is None:
            stored = None
            read_again = partial(new_aggregate, key, uuid4(), epoch, limits, policy=policy)
        elif state is None:
            unread.append(key)
            continue
        else:
            stored = StoredRow(xmin, version)
            read_again = partial(load_aggregate, key, uid, epoch, state, limits, policy)
        read[key] = Row(
            number=number,
            unit=number,
            key=key,
            read=stored,
            existed=stored is not None,
            aggregate=read_again(),
            limits=limits,
            policy=policy,
            read_again=read_again,
            type_revision=type_revision or 0,
            type_is_new=type_revision is None,
        )
        if state is not None and len(state) > LARGE and time_slice.is_used_up:
            await time_slice.rest()
    return Snapshot(read, known, first["now"], first["in_doubt"], frozenset(unread))


def _known(
    requests: Sequence[RequestKey], records: Sequence[Record]
) -> dict[RequestKey, KnownRequest]:
    known: dict[RequestKey, KnownRequest] = {}
    # The last one written into a dict stays, and the first outcome is the one that counts.
    for record in sorted(records, key=lambda record: record["commit_time"], reverse=True):
        request = KnownRequest(record["fingerprint"], record["outcome"])
        known[requests[record["ordinal"] - 1]] = request
    return known
