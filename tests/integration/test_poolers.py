"""A pooler in between: in session mode nothing is lost, and the other modes are refused by name."""

import asyncio

import asyncpg
import pytest

from domain.entity_key import EntityKey
from domain.errors import DatabaseUnavailable, Unavailable
from repository.connections.isolation import ReadCommittedPool, SerializablePool
from repository.connections.pool import AnswerLost, Connection, Pool
from repository.connections.probe import PostgresProbe, ProbeFailed
from repository.migrations import MigrationFailed, status
from repository.statements import DURABILITY, Query
from tests.kit.fault_injection import Session, pool_on, repository_on
from tests.kit.pgbouncer import pgbouncer
from tests.kit.roles import as_app_role
from tests.kit.samples import add, put, update
from tests.kit.session_settings import IN_FORCE, settings_of
from tests.kit.waiting import eventually_true

pytestmark = pytest.mark.needs("pgbouncer")
SHARING = ("transaction", "statement")
REFUSED = "must be in session mode"


@pytest.mark.parametrize("more", [(), ("ignore_startup_parameters = extra_float_digits,jit",)])
@pytest.mark.parametrize("kind", [ReadCommittedPool, SerializablePool], ids=["reads", "writes"])
async def test_behind_a_pooler_in_session_mode_every_setting_is_in_force(
    shared_database: str, kind: type[Pool], more: tuple[str, ...]
) -> None:
    with pgbouncer(shared_database, "session", *more) as pooler:
        async with pool_on(pooler.dsn, kind, statement_timeout=7.0) as pool:
            found = await pool.run(settings_of)
    wanted = kind.isolation["default_transaction_isolation"]
    assert found.pop("transaction_isolation") == wanted
    assert found == IN_FORCE


async def test_behind_a_pooler_in_session_mode_time_outs_end_what_takes_too_long(
    shared_database: str,
) -> None:
    async def idle(connection: Connection) -> None:
        async with connection.transaction():
            await asyncio.sleep(2.4)  # less than the pool allows
            await connection.fetch("SELECT 1")

    with pgbouncer(shared_database, "session") as pooler:
        async with pool_on(pooler.dsn, ReadCommittedPool, statement_timeout=2.0) as pool:
            # PostgreSQL's own time-outs, which come before that of the pool.
            with pytest.raises(DatabaseUnavailable, match="57014"):
                await pool.run(lambda connection: connection.fetch("SELECT pg_sleep(30)"))
            # The pooler keeps PostgreSQL's last word to itself.
            with pytest.raises(AnswerLost):
                await pool.run(idle)


async def test_behind_a_pooler_in_session_mode_everything_is_served(
    database: str, key: EntityKey
) -> None:
    with pgbouncer(as_app_role(database), "session") as pooler:
        probe = PostgresProbe(pooler.dsn)
        async with repository_on(pooler.dsn) as repository:
            await probe.check()
            for version in (1, 2):
                updated = await repository.update(update(add("f", 1), key=key))
                assert updated.version == version
            (stored,) = await repository.read([key])
            assert stored is not None
            assert stored.version == 2
            await probe.check()
        await probe.close()


async def test_behind_a_pooler_in_session_mode_a_backend_can_be_ended(
    shared_database: str, session: Session
) -> None:
    with pgbouncer(shared_database, "session") as pooler:
        async with pool_on(pooler.dsn, ReadCommittedPool) as pool:
            backend = await pool.run(_backend)
            assert await session.fetchval(DURABILITY["end_backend"], *backend, 5_000) is True
            # And nothing but a new connection is needed.
            assert await pool.read(Query("SELECT 1"))
            assert await pool.run(_backend) != backend


async def _backend(connection: Connection) -> tuple[object, ...]:
    return connection.backend  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("mode", SHARING)
async def test_a_pooler_that_shares_connections_is_refused_by_name(
    database: str, key: EntityKey, mode: str
) -> None:
    with pgbouncer(database, mode) as pooler:
        probe = PostgresProbe(pooler.dsn)
        async with repository_on(pooler.dsn) as repository:
            for _ in range(3):
                with pytest.raises(DatabaseUnavailable, match=REFUSED):
                    await repository.read([key])
                with pytest.raises(DatabaseUnavailable, match=REFUSED):
                    await repository.update(update(put("f", 1), key=key))
                with pytest.raises(ProbeFailed, match=REFUSED):
                    await probe.check()
        with pytest.raises(MigrationFailed, match=REFUSED):
            await status(pooler.dsn)
        await probe.close()


async def test_nothing_is_set_on_connections_that_are_shared_with_others(
    database: str, session: Session
) -> None:
    with pgbouncer(database, "transaction", "default_pool_size = 1") as pooler:
        async with pool_on(pooler.dsn, SerializablePool) as pool:
            with pytest.raises(DatabaseUnavailable, match=REFUSED):
                await pool.run(_backend)
        stranger = await asyncpg.connect(pooler.dsn, statement_cache_size=0)
        assert await stranger.fetchval("SHOW transaction_isolation") == "read committed"
        await stranger.close()


async def test_a_pooler_that_begins_to_share_connections_is_found_out(
    database: str, key: EntityKey
) -> None:
    with pgbouncer(database, "session") as pooler:
        async with repository_on(pooler.dsn) as repository:
            probe = PostgresProbe(pooler.dsn, primary=repository.primary)
            await repository.update(update(put("f", 1), key=key))
            await probe.check()
            pooler.configure("transaction")
            pooler.reload()

            async def refused() -> bool:
                try:
                    await repository.update(update(add("n", 1), key=key))
                except Unavailable as error:
                    return REFUSED in str(error)
                return False

            await eventually_true(refused)
            with pytest.raises(ProbeFailed, match=REFUSED):
                await probe.check()
            await probe.close()
