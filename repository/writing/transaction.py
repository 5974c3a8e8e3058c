"""Step 3 of the write protocol: one transaction, in one round trip wherever it can be."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from domain.entity_key import EntityKey
from repository.connections.isolation import SerializablePool
from repository.connections.pool import Connection, Record, TransactionAborted
from repository.sessions.refusals import SharedConnection
from repository.sessions.setting_up import terminate
from repository.statements import WRITE
from repository.writing.columns import write_arguments
from repository.writing.row import Row

Keys: TypeAlias = Sequence[EntityKey]


class EpochPassed(TransactionAborted):
    """The rows were read under another epoch than the connection writes under.

    After a failover that lost commits a row may have the same xmin and version as one that is gone.
    """


class Written(NamedTuple):
    """How a write ended."""

    lost: set[int]
    """The units that have lost; of these nothing was written."""
    to_a_change: set[int]
    """Those of them of which a type is being changed."""
    transaction: int
    """What wrote the others."""
    undone: bool = False
    """Whether nothing was written of the others either."""


class Loss(NamedTuple):
    """What a write did not write."""

    units: Collection[int]
    to_others: bool
    """Whether another writer certainly was faster. SERIALIZABLE also aborts where nobody wrote the
    same, but hardly ever two times in a row."""
    committed: bool = False
    """Whether anything was written: the answers then rest on a commit of their own."""
    to_a_change: Collection[int] = ()
    """Units that no writer was faster with: one of their entity types is being changed."""


_NOTHING_LOST: Final = Loss((), to_others=False, committed=True)
NOTHING_TO_WRITE: Final = Loss((), to_others=False)


def all_lost(rows: Iterable[Row]) -> Loss:
    """Nothing was written, and perhaps nobody was faster."""
    return Loss({row.unit for row in rows}, to_others=False)


def loss_of(written: Written, rows: Iterable[Row]) -> Loss:
    """What was not written of these rows."""
    if not written.lost:
        return _NOTHING_LOST
    units = {row.unit for row in rows}
    not_written = units if written.undone else written.lost
    return Loss(
        not_written,
        to_others=not written.undone,
        committed=not_written != units,
        to_a_change=written.to_a_change,
    )


class _Undone(Exception):
    """Nothing was written, as some units have lost."""

    def __init__(self, written: Written) -> None:
        super().__init__()
        self.written = written


async def write(
    pool: SerializablePool, rows: Sequence[Row], batch_id: UUID, *, lets_go: bool = False
) -> Written:
    """Write what is to be written of some rows, in the order of their keys.

    `lets_go`: nobody needs their aggregates afterwards, so they are not held beside their stored
    form while PostgreSQL works. Raises what Pool.commit raises, or EpochPassed.
    """
    epoch = rows[0].aggregate.epoch
    arguments = await write_arguments(rows, batch_id)
    erased = [row.key for row in rows if row.erase_history]
    absent = [row.key for row in rows if row.is_kept_absent]
    if lets_go:
        for row in rows:
            row.let_go()

    async def work(connection: Connection) -> Written:
        # The pool's proxy hands it through.
        if connection.epoch != epoch:  # type: ignore[attr-defined]
            terminate(connection)
            raise EpochPassed
        if not erased and not absent:
            return await _write_batch(connection, arguments)
        return await _transaction(connection, arguments, erased, absent)

    try:
        return await pool.commit(work)
    except _Undone as undone:
        return undone.written._replace(undone=True)


async def _transaction(
    connection: Connection, arguments: Sequence[Any], erased: Keys, absent: Keys
) -> Written:
    """Write some rows, erase the history of some, and see to it that some are still not there."""
    async with connection.transaction(isolation="serializable"):
        if erased:
            await connection.execute(WRITE["erase_history"], *_columns(erased))
            await connection.execute(WRITE["erase_requests"], *_columns(erased))
        written = await _write_batch(connection, arguments)
        if erased and written.lost:
            raise _Undone(written)  # or a history would be erased whose entity still lives
        if absent:
            await connection.execute(WRITE["vacate"], *_columns(absent))
        return written


def _columns(keys: Keys) -> tuple[list[str], list[str]]:
    return [key.entity_type for key in keys], [key.entity_id for key in keys]


async def _write_batch(connection: Connection, arguments: Sequence[Any]) -> Written:
    records: Sequence[Record] = await connection.fetch(WRITE["write_batch"], *arguments)
    *lost, (_, _, transaction, pid) = records
    if pid != connection.backend.pid:  # type: ignore[attr-defined]
        raise SharedConnection
    to_a_change = {unit for unit, is_being_changed, *_ in lost if is_being_changed}
    return Written({unit for unit, *_ in lost}, to_a_change, transaction)
