"""The owner migrates, servers change rows: what each role may do, and what it may not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import asyncpg
import pytest

from repository.migrations import RoleRefused, migrate, up
from tests.kit.fault_injection import Session, let_pass, repository_on, session_on
from tests.kit.postgres import Postgres
from tests.kit.roles import APP_ROLE, as_app_role, as_role, make_role
from tests.kit.samples import REQUEST_ID, add, update

OWNER = "featom_owner"
DAY = timedelta(days=1)


@asynccontextmanager
async def as_app(dsn: str) -> AsyncIterator[Session]:
    async with session_on(as_app_role(dsn)) as session:
        yield session


@pytest.fixture
async def owned_database(postgres: Postgres, bare_database: str) -> str:
    """A database that belongs to a role without any other right, as that role."""
    await make_role(bare_database, OWNER)
    async with session_on(bare_database) as session:
        name = urlsplit(bare_database).path.removeprefix("/")
        await session.execute(f"ALTER DATABASE {name} OWNER TO {OWNER}")
    return as_role(bare_database, OWNER)


async def test_an_owner_that_is_no_superuser_migrates_and_a_server_serves_beside_it(
    owned_database: str, migrated_template: str
) -> None:
    await migrate(owned_database, app_role=APP_ROLE)
    async with repository_on(as_app_role(owned_database)) as repository:
        asked = update(add("f", 1), request_id=REQUEST_ID, fingerprint=b"1")
        assert not (await repository.update(asked)).replayed
        assert (await repository.update(asked)).replayed


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine ()",
        "ALTER TABLE aggregates ADD COLUMN more int",
        "DROP TABLE changes_default",
        "TRUNCATE changes",
        "UPDATE changes SET change = ''",
        "UPDATE requests SET outcome = ''",
        "UPDATE retention SET keep_requests = '1 second'",
        "SELECT * FROM past_partitions",
        "SELECT note_past_partitions()",
        "UPDATE store_epoch SET epoch = 2",
        "UPDATE store_epoch SET timeline = 'another'",
        "DELETE FROM entity_types",
        "UPDATE schema_window SET oldest_build = 9",
        "UPDATE alembic_version SET version_num = '0001'",
        "SELECT * FROM backfills",
        "SELECT make_partition('changes', 'month', '2001-01-01')",
        "SELECT partition_step(NULL, '0 days')",
        "SELECT maintain_partitions('1 day', '0 days')",
    ],
)
async def test_a_server_may_not(shared_database: str, statement: str) -> None:
    async with as_app(shared_database) as session:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await session.execute(statement)


async def test_a_server_has_partitions_made_and_dropped_by_the_owners_rules(database: str) -> None:
    old = f"requests_{datetime.now(UTC) - 5 * DAY:%Y%m%d}"
    coming = f"requests_{datetime.now(UTC) + 7 * DAY:%Y%m%d}"
    async with session_on(database) as owner:
        await owner.execute(f"DROP TABLE {coming}")
        await owner.execute("SELECT make_partition('requests', 'day', now() - interval '5 days')")
    async with as_app(database) as session:
        steps = []
        while step := await session.fetchval("SELECT advance_partitions(interval '1 day')"):
            steps.append(step)
        async with session_on(database) as owner:
            await let_pass(owner, DAY)
        while step := await session.fetchval("SELECT advance_partitions(interval '1 day')"):
            steps.append(step)
        assert steps == [f"made {coming}", f"dropped {old}"]
        assert await session.fetchval("SELECT to_regclass($1)", old) is None


async def test_nobody_can_put_an_object_in_the_way_of_the_owners_functions(database: str) -> None:
    async with session_on(database) as owner:
        await owner.execute(f"CREATE SCHEMA trap AUTHORIZATION {APP_ROLE}")
    async with as_app(database) as session:
        await session.execute(
            "CREATE FUNCTION trap.partition_step(interval, interval) RETURNS text LANGUAGE sql"
            " AS $$ SELECT 'caught' $$"
        )
        await session.execute(
            "CREATE FUNCTION pg_temp.partition_step(interval, interval) RETURNS text LANGUAGE sql"
            " AS $$ SELECT 'caught' $$"
        )
        await session.execute("SET search_path TO trap, pg_temp, public")
        assert await session.fetchval("SELECT public.advance_partitions('1 day')") is None


async def test_every_function_of_the_owner_has_a_fixed_search_path_and_is_closed_to_others(
    session: Session,
) -> None:
    rows = await session.fetch(
        "SELECT proname, proconfig, has_function_privilege('public', oid, 'EXECUTE') AS open"
        " FROM pg_proc WHERE pronamespace = current_schema()::regnamespace"
    )
    assert rows
    for row in rows:
        assert "search_path=public, pg_temp" in row["proconfig"], row["proname"]
        assert not row["open"], row["proname"]


async def test_what_a_role_has_too_much_is_taken_from_it(database: str) -> None:
    async with session_on(database) as owner:
        await owner.execute(f"GRANT TRUNCATE, UPDATE ON changes, store_epoch TO {APP_ROLE}")
        await up(database, app_role=APP_ROLE)
        for table in ("changes", "store_epoch"):
            may = "SELECT has_table_privilege($1, $2, 'TRUNCATE, UPDATE')"
            assert not await owner.fetchval(may, APP_ROLE, table)


async def test_a_role_that_could_do_what_the_owner_can_is_refused(database: str) -> None:
    (owner, _, _) = urlsplit(database).netloc.partition("@")
    with pytest.raises(RoleRefused, match="whatever the owner"):
        await up(database, app_role=owner.partition(":")[0])
    with pytest.raises(RoleRefused, match='CREATE ROLE "no one" LOGIN'):
        await up(database, app_role="no one")
