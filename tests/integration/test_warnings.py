"""Not every warning of PostgreSQL says that a commit may be lost."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from repository.connections.durability import Unconfirmed, confirmed
from repository.postgres import PostgresOptions
from server.embedded_postgres import EmbeddedPostgres
from tests.kit.fault_injection import Session, repository_on, session_on
from tests.kit.postgres import binaries_by_version, folder_for_postgres, prepared
from tests.kit.roles import as_app_role, migrate_for_servers
from tests.kit.samples import put, update

VERSIONS = binaries_by_version()
NEAR_THE_END = 2_120_000_001
"""Where PostgreSQL warns of the end of transaction numbers, and takes some yet."""
A_SEGMENT = 32_768 * 32
"""Transactions in a file of pg_xact."""


@pytest.fixture(params=list(VERSIONS.values()), ids=list(VERSIONS))
async def old_cluster(request: pytest.FixtureRequest) -> AsyncIterator[EmbeddedPostgres]:
    """One that has used nearly all transaction numbers since its rows were frozen.

    PostgreSQL freezes them by itself as soon as it starts, whatever is set. But never what a
    replication slot still needs.
    """
    with folder_for_postgres() as folder:
        server = prepared(folder, request.param, {"wal_level": "logical"})
        server.start()
        try:
            await migrate_for_servers(server.dsn)
            async with session_on(server.dsn) as session:
                await session.fetch("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
            server._shut_down()
            _go_to(server, NEAR_THE_END)
            server.start()
            yield server
        finally:
            server.stop()


def _go_to(server: EmbeddedPostgres, transaction: int) -> None:
    cluster: Path = server._cluster_folder
    segment = cluster / "pg_xact" / f"{transaction // A_SEGMENT:04X}"
    segment.write_bytes(bytes(32 * 8_192))
    server._owner.take(segment)
    server._programs.must_run("pg_resetwal", "-x", str(transaction), "-D", cluster)


async def test_where_transaction_numbers_run_out_writes_go_on_as_ever(
    old_cluster: EmbeddedPostgres,
) -> None:
    async with session_on(old_cluster.dsn) as session:
        assert "must be vacuumed within" in await warning_of(session)
    async with repository_on(as_app_role(old_cluster.dsn), PostgresOptions(lanes=1)) as server:
        for number in range(3):
            await server.update(update(put("f", number)))
        assert server._writing.failures == {}


async def warning_of(session: Session) -> str:
    said: list[str] = []
    session.add_log_listener(lambda _, message: said.append(message.message))
    await session.fetch("SELECT pg_current_xact_id()")
    return " ".join(said)


async def test_any_other_warning_during_a_commit_is_heeded(session: Session) -> None:
    with pytest.raises(Unconfirmed):
        await confirmed(session, session.execute("DO $$ BEGIN RAISE WARNING 'any'; END $$"))
    await confirmed(session, session.execute("DO $$ BEGIN RAISE NOTICE 'any'; END $$"))
