"""Step 3 of the write protocol: one transaction, in one round trip wherever it can be."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from domain.entity_key import EntityKey
from repository.connections.pool import Connection, Pool, Record
from repository.statements import WRITE
from repository.writing.columns import write_arguments
from repository.writing.row import Row

Keys: TypeAlias = Sequence[EntityKey]


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


class _Undone(Exception):
    """Nothing was written, as some units have lost."""

    def __init__(self, written: Written) -> None:
        super().__init__()
        self.written = written


async def write(pool: Pool, rows: Sequence[Row], batch_id: UUID) -> Written:
    """Write what is to be written of some rows, in the order of their keys.

    Raises what Pool.run raises.
    """
    arguments = await write_arguments(rows, batch_id)
    erased = [row.key for row in rows if row.erase_history]
    absent = [row.key for row in rows if row.is_kept_absent]
    if not erased and not absent:
        return await pool.run(lambda link: _write_batch(link, arguments))
    try:
        return await pool.run(lambda link: _transaction(link, arguments, erased, absent))
    except _Undone as undone:
        return undone.written._replace(undone=True)


async def _transaction(
    link: Connection, arguments: Sequence[Any], erased: Keys, absent: Keys
) -> Written:
    """Write some rows, erase the history of some, and see to it that some are still not there."""
    async with link.transaction(isolation="serializable"):
        if erased:
            await link.execute(WRITE["erase_history"], *_columns(erased))
        written = await _write_batch(link, arguments)
        if erased and written.lost:
            raise _Undone(written)  # or a history would be erased whose entity still lives
        if absent:
            await link.execute(WRITE["vacate"], *_columns(absent))
        return written


def _columns(keys: Keys) -> tuple[list[str], list[str]]:
    return [key.entity_type for key in keys], [key.entity_id for key in keys]


async def _write_batch(link: Connection, arguments: Sequence[Any]) -> Written:
    records: Sequence[Record] = await link.fetch(WRITE["write_batch"], *arguments)
    *lost, (_, _, transaction) = records
    to_a_change = {unit for unit, is_being_changed, _ in lost if is_being_changed}
    return Written({unit for unit, _, _ in lost}, to_a_change, transaction)
