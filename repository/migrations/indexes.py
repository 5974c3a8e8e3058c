"""Indexes that are built while writers write."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from alembic import op
from sqlalchemy import text

_TIME_OUTS: Final = ("statement_timeout", "lock_timeout")

_WITHOUT: Final = """
SELECT p.oid::regclass::text AS partition, p.relname || '_' || :columns AS name
FROM pg_inherits AS i
JOIN pg_class AS p ON p.oid = i.inhrelid
WHERE i.inhparent = CAST(:parent AS regclass) AND NOT EXISTS (
    SELECT FROM pg_inherits AS attached
    JOIN pg_index AS x ON x.indexrelid = attached.inhrelid
    WHERE attached.inhparent = CAST(:name AS regclass) AND x.indrelid = p.oid
)
ORDER BY p.relname
"""


def create_index(name: str, on: str) -> None:
    """Build the index `name` ON `on`, such as "aggregates (update_time)", outside a transaction.

    A build that fails leaves an index that is not valid; it is dropped by the next try. A
    partitioned table takes no such index: see create_index_on_partitions.
    """
    with op.get_context().autocommit_block():
        _build(name, on)


def create_index_on_partitions(name: str, table: str, columns: str) -> None:
    """Build an index on each partition of a table, outside a transaction.

    The table's own comes first: a partition that is made meanwhile gets one with it. A try goes on
    where the one before failed. Printed SQL cannot know the partitions, so there it is one
    statement, which keeps writers out while it runs.
    """
    context = op.get_context()
    if context.as_sql:
        op.execute(
            "-- On a store with a history let `featom migrate up` do this beside its writers.\n"
            "-- squawk-ignore require-concurrent-index-creation\n"
            f"CREATE INDEX {name} ON {table} ({columns})"
        )
        return
    with context.autocommit_block():
        op.execute(f"CREATE INDEX IF NOT EXISTS {name} ON ONLY {table} ({columns})")
        suffix = columns.replace(", ", "_") + "_idx"
        without = text(_WITHOUT).bindparams(parent=table, name=name, columns=suffix)
        for partition, part in op.get_bind().execute(without).all():
            _build(part, f"{partition} ({columns})")
            op.execute(f"ALTER INDEX {name} ATTACH PARTITION {part}")


def _build(name: str, on: str) -> None:
    # It waits for every transaction that is older than it, however long that takes.
    with _no_time_outs():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {on}")


@contextmanager
def _no_time_outs() -> Iterator[None]:
    """Whatever comes after the block has them again: the session goes on, also after a failure.

    They are those of the session; RESET would bring back those of the role.
    """
    for name in _TIME_OUTS:
        op.execute(f"SELECT set_config('featom.{name}', current_setting('{name}'), false)")
        op.execute(f"SET {name} TO 0")
    try:
        yield
    finally:
        for name in _TIME_OUTS:
            op.execute(f"SELECT set_config('{name}', current_setting('featom.{name}'), false)")
