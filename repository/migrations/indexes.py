"""Indexes that are built while writers write."""

from alembic import op


def create_index(name: str, on: str) -> None:
    """Build the index `name` ON `on`, such as "aggregates (update_time)", outside a transaction.

    A build that fails leaves an index that is not valid; it is dropped by the next try. A
    partitioned table takes no such index: build it on each partition, then ON ONLY the table.
    """
    with op.get_context().autocommit_block():
        # It waits for every transaction that is older than it, however long that takes.
        op.execute("SET statement_timeout TO 0")
        op.execute("SET lock_timeout TO 0")
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {on}")
        op.execute("RESET statement_timeout")
        op.execute("RESET lock_timeout")
