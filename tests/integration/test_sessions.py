"""Whatever a database or a role has as its defaults: a session is fit for use, or refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest

from domain.entity_key import EntityKey
from domain.errors import DatabaseUnavailable
from domain.update import Update
from repository.connections.connection import Admission, KnownConnection
from repository.connections.isolation import ReadCommittedPool, SerializablePool
from repository.connections.pool import Pool
from repository.connections.primary import Primary
from repository.connections.probe import PostgresProbe, ProbeFailed
from repository.dsn.connector import Connector
from repository.migrations import MigrationFailed, migrate, up
from repository.migrations import status as migration_status
from repository.postgres import PostgresRepository
from repository.sessions.settings import SERIALIZABLE, server_settings
from repository.statements import Query
from tests.kit.fault_injection import Session, pool_on, repository_on, session_on
from tests.kit.postgres import Postgres
from tests.kit.roles import APP_ROLE, as_app_role
from tests.kit.samples import add, put, update
from tests.kit.session_settings import IN_FORCE, settings_of
from tests.kit.waiting import eventually_true

HOSTILE = {
    "default_transaction_isolation": "'repeatable read'",
    "default_transaction_deferrable": "on",
    "statement_timeout": "'1h'",
    "lock_timeout": "1",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "'200ms'",
    "DateStyle": "'SQL, DMY'",
    "IntervalStyle": "iso_8601",
    "TimeZone": "'Asia/Kolkata'",
    "synchronous_commit": "off",
    "standard_conforming_strings": "off",
    "search_path": "trap, public",
    "jit": "on",
}
KOLKATA = "TimeZone TO 'Asia/Kolkata'", "DateStyle TO 'SQL, DMY'"


def name_of(dsn: str) -> str:
    return urlsplit(dsn).path.removeprefix("/")


@asynccontextmanager
async def probe_on(dsn: str, primary: Primary | None = None) -> AsyncIterator[PostgresProbe]:
    probe = PostgresProbe(dsn, primary=primary)
    try:
        yield probe
    finally:
        await probe.close()


async def let(dsn: str, *settings: str) -> None:
    """Give a database defaults for some settings."""
    async with session_on(dsn) as session:
        for each in settings:
            await session.execute(f"ALTER DATABASE {name_of(dsn)} SET {each}")


@pytest.mark.parametrize("kind", [ReadCommittedPool, SerializablePool], ids=["reads", "writes"])
async def test_the_defaults_of_a_role_do_not_matter(database: str, kind: type[Pool]) -> None:
    async with session_on(database) as session:
        await session.execute("CREATE SCHEMA trap")
        for name, value in HOSTILE.items():
            where = f"ROLE {APP_ROLE} IN DATABASE {name_of(database)}"
            await session.execute(f"ALTER {where} SET {name} TO {value}")
    async with pool_on(as_app_role(database), kind, statement_timeout=7.0) as pool:
        found = await pool.run(settings_of)
    assert found.pop("transaction_isolation") == kind.isolation["default_transaction_isolation"]
    assert found == IN_FORCE


async def test_what_an_operator_chose_for_synchronous_commit_stays_unless_it_loses_commits(
    database: str,
) -> None:
    await let(database, "synchronous_commit TO remote_apply")
    async with pool_on(database, SerializablePool) as pool:
        assert (await pool.run(settings_of))["synchronous_commit"] == "remote_apply"


async def test_a_database_that_does_not_store_utf8_is_refused(postgres: Postgres) -> None:
    async with latin1_database(postgres) as dsn:
        for command in (migrate(dsn), up(dsn), migration_status(dsn)):
            with pytest.raises(MigrationFailed, match="LATIN1: it must be UTF8"):
                await command
        async with repository_on(dsn) as repository, probe_on(dsn) as probe:
            with pytest.raises(DatabaseUnavailable, match="encoding of the database is LATIN1"):
                await repository.read([EntityKey("t", "1")])
            with pytest.raises(ProbeFailed, match="encoding of the database is LATIN1"):
                await probe.check()


@asynccontextmanager
async def latin1_database(postgres: Postgres) -> AsyncIterator[str]:
    async with session_on(postgres.dsn) as session:
        await session.execute(
            "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1'"
            " LOCALE_PROVIDER libc LOCALE 'C'"
        )
    yield postgres.dsn_of("latin")
    async with session_on(postgres.dsn) as session:
        await session.execute("DROP DATABASE latin WITH (FORCE)")


async def test_a_database_that_becomes_read_only_is_refused_also_by_connections_that_are_open(
    database: str, key: EntityKey
) -> None:
    async with (
        repository_on(database) as repository,
        probe_on(database, repository.primary) as probe,
    ):
        await repository.update(update(put("f", 1), key=key))
        await repository.read([key])
        await probe.check()
        await let(database, "default_transaction_read_only TO on")
        repository.primary.is_suspected = True
        with pytest.raises(ProbeFailed, match="read-only"):
            await probe.check()
        with pytest.raises(DatabaseUnavailable, match="read-only"):
            await repository.read([key])
        with pytest.raises(DatabaseUnavailable, match="read-only"):
            await repository.update(update(put("f", 2), key=key))
        async with session_on(database) as session:
            await session.execute("SET default_transaction_read_only TO off")
            await session.execute(
                f"ALTER DATABASE {name_of(database)} RESET default_transaction_read_only"
            )
        await probe.check()
        # Connecting is tried again a second after it failed, at the latest.
        await eventually_true(lambda: takes(repository, update(put("f", 2), key=key)))


async def takes(repository: PostgresRepository, change: Update) -> bool:
    try:
        await repository.update(change)
    except DatabaseUnavailable:
        return False
    return True


async def test_a_search_path_that_leads_to_two_schemas_is_refused(database: str) -> None:
    async with session_on(database) as session:
        await session.execute("CREATE SCHEMA trap")
        await session.execute("CREATE TABLE trap.aggregates (LIKE aggregates INCLUDING ALL)")
    await let(database, "search_path TO trap, public")
    async with repository_on(database) as repository:
        with pytest.raises(DatabaseUnavailable, match="several schemas: public, trap"):
            await repository.read([EntityKey("t", "1")])
    with pytest.raises(MigrationFailed, match="several schemas"):
        await up(database)


async def test_a_temporary_table_does_not_hide_ours(database: str, key: EntityKey) -> None:
    async with pool_on(database, ReadCommittedPool) as pool:
        await pool.read(Query("SELECT 1"))
        await pool.run(
            lambda connection: connection.execute(
                "CREATE TEMPORARY TABLE aggregates (nothing integer)"
            )
        )
        assert await pool.read(Query("SELECT count(entity_id) FROM aggregates"))


@pytest.mark.parametrize(
    ("right", "lacks"),
    [
        ("INSERT ON changes", "INSERT on changes"),
        ("UPDATE ON aggregates", "UPDATE on aggregates"),
        ("UPDATE (types_generation) ON store_epoch", "UPDATE on store_epoch"),
        ("EXECUTE ON FUNCTION advance_partitions(interval)", "EXECUTE on advance_partitions"),
    ],
)
async def test_a_server_without_a_right_that_calls_need_is_not_ready(
    database: str, right: str, lacks: str
) -> None:
    async with session_on(database) as owner, probe_on(as_app_role(database)) as probe:
        await probe.check()
        await owner.execute(f"REVOKE {right} FROM {APP_ROLE}")
        with pytest.raises(ProbeFailed, match=f"lacks: {lacks}"):
            await probe.check()
        await owner.execute(f"GRANT {right} TO {APP_ROLE}")
        await probe.check()


async def test_a_check_writes_and_makes_no_connection_of_its_own(
    database: str, session: Session
) -> None:
    async with probe_on(database) as probe:
        await probe.check()
        connection = probe._connection
        before = await session.fetchval("SELECT pg_current_xact_id()::text::bigint")
        for _ in range(5):
            await probe.check()
        after = await session.fetchval("SELECT pg_current_xact_id()::text::bigint")
        assert probe._connection is connection
    assert after - before > 5


async def test_a_server_that_takes_no_more_connections_is_as_well_as_the_one_that_it_has(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object, **__: object) -> None:
        raise asyncpg.TooManyConnectionsError("sorry, too many clients already")

    async with probe_on(database) as probe:
        await probe.check()
        connection = probe._connection
        monkeypatch.setattr(Connector, "_connect", full)
        probe._primary.is_suspected = True
        await probe.check()
        assert probe._connection is connection


async def test_setting_up_takes_four_statements_once_the_barrier_has_passed(
    database: str,
) -> None:
    said: list[str] = []
    admission = Admission(
        primary=Primary(),
        build=1,
        settings=server_settings(SERIALIZABLE, "featom, build 1", 10.0),
        connector=Connector(database),
        another=lambda: asyncpg.connect(database),
    )
    first = await asyncpg.connect(database, connection_class=KnownConnection)
    connection = await asyncpg.connect(database, connection_class=KnownConnection)
    try:
        await admission(first)
        connection.add_query_logger(lambda record: said.append(record.query))
        await admission(connection)
        await asyncio.sleep(0)  # the driver tells a little later
        assert len(said) == 4, said
    finally:
        await first.close()
        await connection.close()


async def test_partitions_begin_at_midnight_utc_whatever_the_database_says(
    bare_database: str,
) -> None:
    await let(bare_database, *KOLKATA)
    await migrate(bare_database)
    await migrate(bare_database)
    async with session_on(bare_database) as session:
        # An operator with the defaults of the database makes one more.
        assert await session.fetchval("SHOW timezone") == "Asia/Kolkata"
        await session.execute("SELECT make_partition('requests', 'day', now() - interval '9 days')")
        await session.execute("SET timezone TO 'UTC'; SET datestyle TO ISO")
        bounds = await session.fetch(
            "SELECT pg_get_expr(relpartbound, oid) AS bound FROM pg_class"
            " WHERE relispartition AND relkind = 'r' AND relname !~ 'default'"
        )
    assert len(bounds) > 10
    for (bound,) in bounds:
        assert bound.count("00:00:00+00") == 2, bound


async def test_updates_and_reads_are_well_with_hostile_defaults(
    database: str, key: EntityKey
) -> None:
    async with session_on(database) as session:
        await session.execute("CREATE SCHEMA trap")
    await let(database, *(f"{name} TO {value}" for name, value in HOSTILE.items()))
    async with repository_on(database) as repository, probe_on(database) as probe:
        await probe.check()
        for version in (1, 2):
            assert (await repository.update(update(add("f", 1), key=key))).version == version
        assert (await repository.read([key]))[0] is not None
