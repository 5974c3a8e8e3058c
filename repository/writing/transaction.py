"""Step 3 of the write protocol: one transaction, in one round trip wherever it can be."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from domain.entity_key import EntityKey
from repository.connections.pool import Connection, Pool, Record, TransactionAborted
from repository.statements import WRITE
from repository.writing.columns import write_arguments
from repository.writing.row import Row

Keys: TypeAlias = Sequence[EntityKey]


class Written(NamedTuple):
    """How a write ended."""

    lost: set[int]
    """The units of which nothing was written."""
    transaction: int
    """What wrote the others."""


async def write(pool: Pool, rows: Sequence[Row], batch_id: UUID) -> Written:
    """Write what is to be written of some rows, in the order of their keys.

    Raises what Pool.run raises: TransactionAborted if all units have lost.
    """
    arguments = write_arguments(rows, batch_id)
    erased = [row.key for row in rows if row.erase_history]
    absent = [row.key for row in rows if row.is_kept_absent]
    if not erased and not absent:
        return await pool.run(lambda link: _write_batch(link, arguments))
    return await pool.run(lambda link: _transaction(link, arguments, erased, absent))


async def _transaction(
    link: Connection, arguments: Sequence[Any], erased: Keys, absent: Keys
) -> Written:
    """Write some rows, erase the history of some, and see to it that some are still not there."""
    async with link.transaction(isolation="serializable"):
        if erased:
            await link.execute(WRITE["erase_history"], *_columns(erased))
            await link.execute(WRITE["erase_requests"], *_columns(erased))
        written = await _write_batch(link, arguments)
        if erased and written.lost:
            raise TransactionAborted  # or a history would be erased whose entity still lives
        if absent:
            await link.execute(WRITE["vacate"], *_columns(absent))
        return written


def _columns(keys: Keys) -> tuple[list[str], list[str]]:
    return [key.entity_type for key in keys], [key.entity_id for key in keys]


async def _write_batch(link: Connection, arguments: Sequence[Any]) -> Written:
    records: Sequence[Record] = await link.fetch(WRITE["write_batch"], *arguments)
    *lost, (_, transaction) = records
    return Written({unit for unit, _ in lost}, transaction)
