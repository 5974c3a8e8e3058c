"""What the SQL files say of running a statement a second time is true.

Pools run queries and idempotent statements again when an answer was lost, so a statement that is
given the wrong kind would change something two times.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import pytest

from repository.sessions.facts import Backend
from repository.statements import ALL, TYPES, Kind
from tests.kit.fault_injection import Session, session_on

QUERIES: Final = {
    name: file[name] for file in ALL for name in file if file.kinds[name] is Kind.QUERY
}
IDEMPOTENT: Final = {
    name: file[name] for file in ALL for name in file if file.kinds[name] is Kind.IDEMPOTENT
}

HARMLESS: Final = frozenset(
    {
        "clock_timestamp",
        "pg_try_advisory_xact_lock",  # gone with the statement
        "set_config",  # the same: where a query has it, it is local
        "current_timeline",  # ours: reads the log's position
        # Volatile to the planner, and change nothing.
        "pg_control_system",
        "pg_current_wal_lsn",
        "pg_database_size",
        "pg_is_in_recovery",
        "pg_relation_size",
    }
)
"""Functions that are volatile, and that a query may call."""

NOBODY: Final = Backend(2**30, datetime(2000, 1, 1, tzinfo=UTC))
ARGUMENTS: Final[dict[str, Sequence[object]]] = {
    "settle": (),
    "announce": (str(NOBODY), "1s"),
    "end_backend": (*NOBODY, 1),
    "ensure_rows": (["customer", "card"],),
    "set_retention": (timedelta(hours=48), None),
}


async def volatile_functions(session: Session, sql: str) -> set[str]:
    called = set(re.findall(r"\b(\w+)\(", re.sub(r"--.*", "", sql)))
    found = await session.fetch(
        "SELECT DISTINCT proname FROM pg_proc WHERE provolatile = 'v' AND proname = ANY ($1)",
        sorted(called),
    )
    return {record["proname"] for record in found}


async def run_read_only(session: Session, sql: str) -> None:
    """PostgreSQL refuses a statement that could write, whether or not it finds something to."""
    prepared = await session.prepare(sql)
    nothing: list[Any] = [None] * len(prepared.get_parameters())
    async with session.transaction(readonly=True):
        # That it may run is decided before its arguments are looked at.
        with suppress(asyncpg.DataError):
            await session.fetch(sql, *nothing)


@pytest.mark.parametrize("sql", QUERIES.values(), ids=QUERIES)
async def test_a_query_reads_only(session: Session, sql: str) -> None:
    await run_read_only(session, sql)
    assert await volatile_functions(session, sql) <= HARMLESS


@pytest.mark.parametrize("name", ["raise_generation", "heartbeat", "advance_partitions"])
async def test_what_is_no_query_is_found_out(session: Session, name: str) -> None:
    (sql,) = (file[name] for file in ALL if name in file)
    try:
        await run_read_only(session, sql)
    except asyncpg.ReadOnlySQLTransactionError:
        return
    assert await volatile_functions(session, sql) - HARMLESS


async def contents(session: Session) -> dict[str, list[tuple[object, ...]]]:
    """All rows of the tables that are not partitioned."""
    tables = await session.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
        " AND relkind = 'r' AND NOT relispartition"
    )
    return {
        table: sorted(map(tuple, await session.fetch(f"SELECT * FROM {table}")), key=repr)
        for (table,) in tables
    }


async def changed_by_a_second_run(session: Session, sql: str, arguments: Sequence[object]) -> bool:
    await session.fetch(sql, *arguments)
    before = await contents(session)
    await session.fetch(sql, *arguments)
    return await contents(session) != before


@pytest.mark.parametrize("name", IDEMPOTENT)
async def test_a_second_run_of_an_idempotent_statement_changes_nothing(
    database: str, name: str
) -> None:
    async with session_on(database) as session:
        assert not await changed_by_a_second_run(session, IDEMPOTENT[name], ARGUMENTS[name])


async def test_a_second_run_that_changes_something_is_found_out(database: str) -> None:
    async with session_on(database) as session:
        assert await changed_by_a_second_run(session, TYPES["raise_generation"], ())
