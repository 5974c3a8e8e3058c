"""Indexes that are built while writers write."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from alembic import op

_TIME_OUTS: Final = ("statement_timeout", "lock_timeout")


def create_index(name: str, on: str) -> None:
    """Build the index `name` ON `on`, such as "aggregates (update_time)", outside a transaction.

    A build that fails leaves an index that is not valid; it is dropped by the next try. A
    partitioned table takes no such index: build it on each partition, then ON ONLY the table.
    """
    # It waits for every transaction that is older than it, however long that takes.
    with op.get_context().autocommit_block(), _no_time_outs():
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
