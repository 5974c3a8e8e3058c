"""The plans of the statements: by index, in the order of the keys, whatever the table holds."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from codec.state import dump_aggregate, new_aggregate
from codec.timestamps import to_datetime
from domain.update import Deletion, Update
from repository.array_arguments import lines
from repository.connections.isolation import ReadCommittedPool, SerializablePool
from repository.connections.pool import Connection, Pool
from repository.postgres import PostgresOptions
from repository.statements import HISTORY, READ, TYPES, WRITE
from repository.writing.columns import write_arguments
from repository.writing.row import Row
from tests.kit.fault_injection import pool_on, repository_on, session_on
from tests.kit.postgres import Postgres
from tests.kit.samples import KEY, NOW, UID, add, entity, put, update

LONG_HISTORY = """
INSERT INTO changes (entity_type, entity_id, uid, version, commit_time, batch_id, change)
SELECT
    'customer', 'c-' || $2::int, $1, CASE n % 200 WHEN 0 THEN n / 200 ELSE 50 END,
    now() + n * interval '1 microsecond',
    gen_random_uuid(), '\\x00'
FROM generate_series(1, 20000) AS n
"""
FILL = """
INSERT INTO aggregates
SELECT 'customer', 'c-' || n, gen_random_uuid(), 1, $1, now(), now()
FROM generate_series(1, $2::int) AS n
"""
Plan = dict[str, Any]


@asynccontextmanager
async def database_of(
    aggregates: int, postgres: Postgres, migrated_template: str
) -> AsyncIterator[str]:
    """A database with so many aggregates, of which PostgreSQL knows how many they are."""
    async with postgres.database(migrated_template) as dsn:
        async with session_on(dsn) as session:
            await session.execute(FILL, some_state(), aggregates)
            await session.execute("ANALYZE")
            known = await session.fetchval(
                "SELECT reltuples FROM pg_class WHERE oid = 'aggregates'::regclass"
            )
            assert known == aggregates
        yield dsn


@pytest.fixture(scope="module")
async def filled_database(postgres: Postgres, migrated_template: str) -> AsyncIterator[str]:
    async with database_of(10_000, postgres, migrated_template) as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def small_database(postgres: Postgres, migrated_template: str) -> AsyncIterator[str]:
    """One that is read fastest as a whole."""
    async with database_of(300, postgres, migrated_template) as dsn:
        yield dsn


def some_state() -> bytes:
    """An aggregate of about the size that aggregates have."""
    subject = new_aggregate(KEY, UID, 1)
    subject.apply(update(*(put(f"feature_{number}", number) for number in range(50))), NOW)
    return dump_aggregate(subject)


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


class WrittenBatch(NamedTuple):
    """A batch as the write protocol has it written."""

    rows: Sequence[Row]
    arguments: Sequence[Any]


@pytest.fixture(scope="module")
async def written(small_database: str) -> WrittenBatch:
    """A batch of 100 updates, 14 new aggregates and 14 deletions, given in no order."""
    commands: list[Update | Deletion] = [
        update(add("f", 1), key=entity(number)) for number in range(1, 101)
    ]
    commands += [update(add("f", 1), key=entity(f"new-{number}")) for number in range(14)]
    commands += [Deletion(key=entity(number)) for number in range(201, 215)]
    batches: list[WrittenBatch] = []

    async def spied(rows: Sequence[Row], *rest: Any) -> list[Any]:
        arguments = await write_arguments(rows, *rest)
        batches.append(WrittenBatch(rows, arguments))
        return arguments

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("repository.writing.transaction.write_arguments", spied)
        async with repository_on(small_database, PostgresOptions(lanes=1)) as repository:
            await asyncio.gather(*map(repository.submit, commands))
    (batch,) = batches
    return batch


generic_or_not = pytest.mark.parametrize("generic", [False, True], ids=["custom", "generic"])


@generic_or_not
@pytest.mark.parametrize("size", ["small", "filled"])
async def test_a_batch_is_written_by_index_and_in_the_order_of_its_keys(
    small_database: str, filled_database: str, written: WrittenBatch, size: str, generic: bool
) -> None:
    dsn = {"small": small_database, "filled": filled_database}[size]
    async with pool_on(dsn, SerializablePool) as writers:
        plan = await plan_of(writers, WRITE["write_batch"], written.arguments, generic=generic)
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


def test_the_rows_of_a_batch_are_listed_in_the_order_of_their_keys(written: WrittenBatch) -> None:
    keys = [row.key for row in written.rows]
    assert len(keys) == 128
    assert keys == sorted(keys)
    # Of the rows that exist, which are locked in this order.
    types, ids = (names.split("\n") for names in written.arguments[2:4])
    assert list(zip(types, ids, strict=True)) == sorted(
        key for key in keys if "new" not in key.entity_id
    )


@generic_or_not
@pytest.mark.parametrize("name", ["read_for_update", "read_for_update_with_requests", "sizes"])
async def test_what_a_batch_is_about_is_read_by_index(
    filled_database: str, name: str, generic: bool
) -> None:
    types, ids = lines(["customer"] * 256), lines([f"c-{number}" for number in range(256)])
    arguments: list[Any] = [types, ids]
    if name != "sizes":
        arguments.append(8_192)
    if name == "read_for_update_with_requests":
        arguments += [types, ids, [uuid4()] * 256]
    async with pool_on(filled_database, ReadCommittedPool) as pool:
        plan = await plan_of(pool, WRITE[name], arguments, generic=generic)
    assert scans_of_aggregates(plan) == {("Index Scan", "aggregates_pkey")}


@generic_or_not
@pytest.mark.parametrize("keys", [1, 100])
@pytest.mark.parametrize(
    ("name", "arguments"), [("read_aggregates", [8_000]), ("measure_aggregates", [])]
)
async def test_aggregates_are_read_by_index(
    filled_database: str, name: str, arguments: list[object], keys: int, generic: bool
) -> None:
    names = [lines(["customer"] * keys), lines([f"c-{number}" for number in range(keys)])]
    async with pool_on(filled_database, ReadCommittedPool) as pool:
        plan = await plan_of(pool, READ[name], [*names, *arguments], generic=generic)
    assert scans_of_aggregates(plan) == {("Index Scan", "aggregates_pkey")}


@generic_or_not
async def test_a_page_is_read_in_the_order_of_the_index(
    filled_database: str, generic: bool
) -> None:
    async with pool_on(filled_database, ReadCommittedPool) as pool:
        plan = await plan_of(
            pool, READ["list_aggregates"], ["customer", "c-5", 101, 3_000_000], generic=generic
        )
    assert scans_of_aggregates(plan) == {("Index Scan", "aggregates_pkey")}
    assert not [node for node in nodes(plan) if node["Node Type"] == "Sort"]


@generic_or_not
async def test_what_was_written_since_is_found_by_index(
    filled_database: str, generic: bool
) -> None:
    """In the one partition of this month: the others are empty."""
    async with session_on(filled_database) as session:
        await session.execute(
            "INSERT INTO changes SELECT 'customer', 'c-' || n, gen_random_uuid(), 1, now(),"
            " (1000 + n)::text::xid8, gen_random_uuid(), NULL, '\\x00'"
            " FROM generate_series(1, 50000) AS n"
        )
        await session.execute("ANALYZE changes")
    arguments = ["customer", "2000", "2256", ["1500", "1501"], 1_000]
    async with pool_on(filled_database, ReadCommittedPool) as pool:
        plan = await plan_of(pool, TYPES["written_since"], arguments, generic=generic)
    this_month = f"changes_{datetime.now(UTC):%Y%m}01"
    scans = [
        (node["Node Type"], node.get("Index Name"))
        for node in nodes(plan)
        if this_month in (node.get("Relation Name"), node.get("Index Name", "")[: len(this_month)])
    ]
    assert scans
    assert {index for _, index in scans} == {f"{this_month}_entity_type_xid_idx"}


@generic_or_not
@pytest.mark.parametrize("name", ["scan_aggregates", "scan_written", "any_aggregate"])
async def test_aggregates_are_checked_by_index(
    filled_database: str, name: str, generic: bool
) -> None:
    arguments: list[Any] = ["customer"]
    if name == "scan_aggregates":
        arguments += ["c-5", 200, 2**20]
    elif name == "scan_written":
        arguments += [[f"c-{number}" for number in range(200)], "", 2**20]
    async with pool_on(filled_database, ReadCommittedPool) as pool:
        plan = await plan_of(pool, TYPES[name], arguments, generic=generic)
    assert {index for _, index in scans_of_aggregates(plan)} == {"aggregates_pkey"}


@generic_or_not
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("read_changes", [50, to_datetime(NOW), 500, 262_144]),
        ("read_changes_back", [50, to_datetime(NOW), 500, 262_144]),
        ("read_versions", [51, 100, 262_144]),
        ("read_keyframe", [100, 37]),
        ("has_more_changes", [1_000_000]),
        ("newest_version", []),
        ("is_change_kept", [50, datetime.now(UTC)]),
        ("read_incarnations", [500]),
    ],
)
async def test_a_long_history_is_read_in_the_order_of_the_index(
    postgres: Postgres, migrated_template: str, name: str, arguments: list[object], generic: bool
) -> None:
    async with postgres.database(migrated_template) as dsn:
        async with session_on(dsn) as session:
            await session.execute(LONG_HISTORY, UID, 1)
            await session.execute("VACUUM ANALYZE changes")
        async with pool_on(dsn, ReadCommittedPool) as pool:
            history = ["customer", "c-1", UID]
            plan = await plan_of(pool, HISTORY[name], [*history, *arguments], generic=generic)
    found = list(nodes(plan))
    of_changes = [node for node in found if node.get("Relation Name", "").startswith("changes")]
    assert of_changes
    assert {node["Node Type"] for node in of_changes} <= {"Index Scan", "Index Only Scan"}
    sorted_first = [node for node in found if node["Node Type"] == "Sort"]
    # Of the versions that were asked for by number, not of all changes.
    assert all("version" in "".join(node["Sort Key"]) for node in sorted_first)
    assert not (sorted_first and name not in ("read_versions", "read_keyframe"))
