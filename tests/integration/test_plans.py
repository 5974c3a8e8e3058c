"""The plans of the statements: by index, in the order of the keys, whatever the table holds."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.limits import Limits
from domain.update import Deletion, Update
from repository.codec.instants import from_datetime
from repository.codec.state import dump_aggregate, new_aggregate
from repository.columns import write_arguments
from repository.evaluation import Evaluation
from repository.pool import READ_COMMITTED, SERIALIZABLE, Connection, Pool
from repository.snapshot import read_snapshot
from repository.statements import READ, WRITE
from tests.integration.meddling import Session, session_on
from tests.postgres import Postgres
from tests.samples import KEY, NOW, UID, add, entity, put, update

AGGREGATES = 10_000
FILL = f"""
INSERT INTO aggregates
SELECT 'customer', 'c-' || n, gen_random_uuid(), 1, $1, now(), now()
FROM generate_series(1, {AGGREGATES}) AS n
"""
Plan = dict[str, Any]


@pytest.fixture(scope="module")
async def filled_database(postgres: Postgres, migrated_template: str) -> AsyncIterator[str]:
    name = await postgres.create_database(migrated_template)
    dsn = postgres.dsn_of(name)
    async with session_on(dsn) as session:
        await session.execute(FILL, some_state())
        await session.execute("ANALYZE")
    yield dsn
    await postgres.drop_database(name)


def some_state() -> bytes:
    """An aggregate of about the size that aggregates have."""
    subject = new_aggregate(KEY, UID, 1)
    subject.apply(update(*(put(f"feature_{number}", number) for number in range(50))), NOW)
    return dump_aggregate(subject)


@asynccontextmanager
async def pool_on(dsn: str, isolation: dict[str, str]) -> AsyncIterator[Pool]:
    pool = Pool(dsn, isolation, size=1, statement_timeout=10.0)
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


async def plan_of(pool: Pool, sql: str, arguments: Sequence[object], *, generic: bool) -> Plan:
    """How PostgreSQL would run a statement on this pool's connections."""
    mode = "force_generic_plan" if generic else "force_custom_plan"

    async def explain(connection: Connection) -> str:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
            plan: str = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {sql}", *arguments)
            return plan

    (explained,) = json.loads(await pool.run(explain))
    plan: Plan = explained["Plan"]
    return plan


def nodes(plan: Plan) -> Iterator[Plan]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def scans_of_aggregates(plan: Plan) -> set[tuple[str, str]]:
    return {
        (node["Node Type"], node.get("Index Name", ""))
        for node in nodes(plan)
        if node.get("Relation Name") == "aggregates" and "Scan" in node["Node Type"]
    }


async def batch_arguments(pool: Pool) -> list[Any]:
    """The arguments of a batch of 200 updates, 20 new aggregates and 20 deletions."""
    commands: list[Update | Deletion] = [
        update(add("f", 1), key=entity(number * 7)) for number in range(1, 201)
    ]
    commands += [update(add("f", 1), key=entity(f"new-{number}")) for number in range(20)]
    commands += [Deletion(key=entity(number)) for number in range(9_000, 9_020)]
    snapshot = await read_snapshot(pool, commands, Limits(), timedelta(hours=1))
    evaluation = Evaluation(snapshot.rows, snapshot.known, from_datetime(datetime.now(UTC)))
    for command in commands:
        answer = evaluation.evaluate(command)
        assert not isinstance(answer, Exception)
    return write_arguments(list(evaluation.rows.values()), uuid4())


generic_or_not = pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])


@generic_or_not
async def test_a_batch_is_written_by_index_and_in_the_order_of_its_keys(
    filled_database: str, generic: bool
) -> None:
    async with (
        pool_on(filled_database, READ_COMMITTED) as readers,
        pool_on(filled_database, SERIALIZABLE) as writers,
    ):
        arguments = await batch_arguments(readers)
        plan = await plan_of(writers, WRITE["write_batch"], arguments, generic=generic)
    assert scans_of_aggregates(plan) == {("Index Scan", "aggregates_pkey")}
    joins = [node for node in nodes(plan) if "Join" in node["Node Type"]]
    joins += [node for node in nodes(plan) if node["Node Type"] == "Nested Loop"]
    touching = [node for node in joins if scans_of_aggregates(node)]
    assert len(touching) >= 3
    for node in touching:
        assert node["Node Type"] == "Nested Loop"
        outer, inner = node["Plans"]
        # The rows come as they are listed, and that is sorted by key.
        assert outer["Node Type"] in ("CTE Scan", "Function Scan")
        assert inner["Node Type"] == "Index Scan"


async def test_the_rows_of_a_batch_are_listed_in_the_order_of_their_keys(
    filled_database: str,
) -> None:
    async with pool_on(filled_database, READ_COMMITTED) as readers:
        arguments = await batch_arguments(readers)
    # The columns of the keys: of the rows that were read, and of those that are new.
    for types, ids, count in ((2, 3, 220), (15, 16, 20)):
        keys = list(zip(arguments[types], arguments[ids], strict=True))
        assert len(keys) == count
        assert keys == sorted(keys)


@generic_or_not
@pytest.mark.parametrize("name", ["read_for_update", "read_for_update_with_requests"])
async def test_what_a_batch_is_about_is_read_by_index(
    filled_database: str, name: str, generic: bool
) -> None:
    types, ids = ["customer"] * 256, [f"c-{number}" for number in range(256)]
    arguments: list[Any] = [types, ids]
    if name == "read_for_update_with_requests":
        arguments += [types, ids, [uuid4()] * 256, timedelta(hours=24)]
    async with pool_on(filled_database, READ_COMMITTED) as pool:
        plan = await plan_of(pool, WRITE[name], arguments, generic=generic)
    assert scans_of_aggregates(plan) == {("Index Scan", "aggregates_pkey")}


@generic_or_not
@pytest.mark.parametrize("keys", [1, 100])
async def test_aggregates_are_read_by_index(filled_database: str, keys: int, generic: bool) -> None:
    arguments = [["customer"] * keys, [f"c-{number}" for number in range(keys)]]
    async with pool_on(filled_database, READ_COMMITTED) as pool:
        plan = await plan_of(pool, READ["read_aggregates"], arguments, generic=generic)
    assert scans_of_aggregates(plan) == {("Index Scan", "aggregates_pkey")}


@generic_or_not
async def test_a_page_is_read_in_the_order_of_the_index(
    filled_database: str, generic: bool
) -> None:
    async with pool_on(filled_database, READ_COMMITTED) as pool:
        plan = await plan_of(
            pool, READ["list_aggregates"], ["customer", "c-5", 101], generic=generic
        )
    assert scans_of_aggregates(plan) == {("Index Scan", "aggregates_pkey")}
    assert not [node for node in nodes(plan) if node["Node Type"] == "Sort"]


async def test_the_filled_database_is_filled(filled_database: str) -> None:
    """Or the plans above would be those of an empty table."""
    async with session_on(filled_database) as session:
        assert await _estimated(session) > AGGREGATES / 2


async def _estimated(session: Session) -> float:
    rows: float = await session.fetchval(
        "SELECT reltuples FROM pg_class WHERE oid = 'aggregates'::regclass"
    )
    return rows
