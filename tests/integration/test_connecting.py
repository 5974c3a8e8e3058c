"""Connections go to the host that can be used, whatever the others do, and are as the DSN says."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import pytest
import uvloop

from domain.errors import DatabaseUnavailable
from repository.connections.isolation import ReadCommittedPool
from repository.connections.probe import PostgresProbe, ProbeFailed
from repository.dsn.connector import CannotConnect, Connector
from repository.dsn.target import DsnRefused
from repository.migrations import MigrationFailed, status
from repository.postgres import PostgresRepository
from repository.statements import Query
from tests.kit.fault_injection import pool_on
from tests.kit.postgres import Postgres, binaries_by_version, folder_for_postgres, prepared
from tests.kit.proxy import proxied

ROOT: Final = Path(__file__).parents[2]


def behind(dsn: str, *hosts: str, options: str = "") -> str:
    """The same database, as the last of some hosts."""
    parts = urlsplit(dsn)
    query = dict(each.split("=") for each in parts.query.split("&") if each)
    name = query.get("host", parts.hostname or "")
    port = query.get("port", str(parts.port or 5432))
    names = ",".join([*(host.rpartition(":")[0] for host in hosts), name.replace("%2F", "/")])
    ports = ",".join([*(host.rpartition(":")[2] for host in hosts), port])
    secret = f" password={parts.password}" if parts.password else ""
    said = f"host={names} port={ports} user={parts.username} dbname={parts.path[1:]}"
    return f"{said}{secret} connect_timeout=1 {options}"


@contextmanager
def silent_host() -> Iterator[str]:
    """Takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def black_hole() -> Iterator[str]:
    """Does not even take connections: those that wait to be taken are too many."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        while True:
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.3)
            try:
                waiting.connect(address)
            except TimeoutError:
                break
        yield f"127.0.0.1:{address[1]}"


@contextmanager
def refusing_host() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"127.0.0.1:{port}"


@pytest.fixture(params=list(binaries_by_version().values()), ids=list(binaries_by_version()))
def standby(request: pytest.FixtureRequest) -> Iterator[str]:
    """The DSN of a hot standby, of which the primary is gone."""
    with folder_for_postgres() as folder:
        server = prepared(folder, request.param)
        server.start()
        server.stop()
        (folder / "cluster" / "standby.signal").touch()
        server.start()
        try:
            yield server.dsn
        finally:
            server.stop()


UNFIT = {"silent": silent_host, "a black hole": black_hole, "refusing": refusing_host}


@pytest.mark.parametrize("first", UNFIT)
async def test_a_host_of_no_use_does_not_hide_the_next_one(
    shared_database: str, first: str
) -> None:
    with UNFIT[first]() as host:
        connector = Connector(behind(shared_database, host, options="connect_timeout=3"))
        connection = await connector.connect({})
        assert await connection.fetchval("SELECT current_database()")
        await connection.close()
        # The next ones do not wait for it again, or each would take three seconds.
        assert min([await seconds_to_connect(connector) for _ in range(5)]) < 3


async def seconds_to_connect(connector: Connector) -> float:
    begun = time.monotonic()
    await (await connector.connect({})).close()
    return time.monotonic() - begun


async def test_servers_their_probe_and_migrations_go_on_to_the_next_host(
    shared_database: str,
) -> None:
    with silent_host() as host:
        dsn = behind(shared_database, host)
        async with pool_on(dsn, ReadCommittedPool) as pool:
            assert [tuple(row) for row in await pool.read(Query("SELECT 1"))] == [(1,)]
        probe = PostgresProbe(dsn)
        await probe.check()
        await probe.close()
        assert (await status(dsn)).misfit is None


async def test_readiness_does_not_wait_for_hosts_that_hang_and_finds_the_one_that_does_not(
    shared_database: str,
) -> None:
    with silent_host() as first, silent_host() as second:
        probe = PostgresProbe(behind(shared_database, first, second, options="connect_timeout=3"))
        # Whoever waits for both finds the third.
        with pytest.raises(ProbeFailed, match="no host"):
            await probe.check()
        latest = time.monotonic() + 60
        while True:
            try:
                await probe.check()
                break
            except ProbeFailed:
                assert time.monotonic() < latest
        await probe.close()


async def test_a_probe_that_is_closed_while_it_connects_leaves_nothing_behind() -> None:
    with silent_host() as host:
        probe = PostgresProbe(f"host=127.0.0.1 port={host.partition(':')[2]} user=u")
        check = asyncio.create_task(probe.check())
        await asyncio.sleep(0.1)
        check.cancel()
        await probe.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "connecting to probe"]


async def test_a_session_that_is_silent_once_it_is_open_does_not_hide_the_next_host(
    shared_database: str,
) -> None:
    async def silent_at_first(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        checked.append(connection)
        if len(checked) == 1:
            await asyncio.sleep(60)

    checked: list[asyncpg.Connection[asyncpg.Record]] = []
    async with proxied(shared_database) as proxy:
        first = urlsplit(proxy.dsn)
        dsn = behind(shared_database, f"127.0.0.1:{first.port}")
        connection = await Connector(dsn).connect({}, silent_at_first)
        assert len(checked) == 2
        assert checked[0].is_closed()
        await connection.close()


async def test_a_standby_is_passed_over_and_refused_by_name_where_it_is_alone(
    postgres: Postgres, standby: str
) -> None:
    alone = f"{standby}&connect_timeout=9"
    with pytest.raises(CannotConnect, match="is a standby"):
        await Connector(alone).connect({})
    with pytest.raises(MigrationFailed, match="is a standby"):
        await status(alone)
    async with pool_on(alone, ReadCommittedPool) as pool:
        with pytest.raises(DatabaseUnavailable, match="is a standby"):
            await pool.read(Query("SELECT 1"))
    with pytest.raises(ProbeFailed, match="is a standby"):
        await PostgresProbe(alone).check()
    (host,) = Connector(standby)._target.hosts
    connection = await Connector(behind(postgres.dsn, f"{host.name}:{host.port}")).connect({})
    assert not await connection.fetchval("SELECT pg_is_in_recovery()")
    await connection.close()


async def test_a_primary_that_is_set_read_only_is_passed_over_if_the_dsn_says_so(
    database: str,
) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute(
        f"ALTER DATABASE {urlsplit(database).path[1:]} SET default_transaction_read_only = on"
    )
    await connection.close()
    with pytest.raises(CannotConnect, match="is read-only"):
        await Connector(behind(database, options="target_session_attrs=read-write")).connect({})
    await (
        await Connector(behind(database, options="target_session_attrs=any")).connect({})
    ).close()


async def test_all_hosts_are_named_when_none_can_be_used() -> None:
    with refusing_host() as first, silent_host() as second:
        names = f"{first.partition(':')[0]},{second.partition(':')[0]}"
        ports = f"{first.partition(':')[2]},{second.partition(':')[2]}"
        dsn = f"host={names} port={ports} user=u password=s3cret connect_timeout=1"
        with pytest.raises(CannotConnect) as nobody:
            await Connector(dsn).connect({})
    assert first in str(nobody.value)
    assert f"{second}: no answer" in str(nobody.value)
    assert "s3cret" not in str(nobody.value)


async def test_what_a_host_says_is_told(database: str) -> None:
    dsn = behind(database).replace("dbname=", "dbname=no_such_")
    async with pool_on(dsn, ReadCommittedPool) as pool:
        with pytest.raises(DatabaseUnavailable, match="no database of this name") as away:
            await pool.read(Query("SELECT 1"))
    assert away.value.sqlstate == "3D000"


async def test_sockets_are_kept_alive_as_the_dsn_says(shared_database: str) -> None:
    async with proxied(shared_database) as proxy:
        said = "keepalives_idle=33&keepalives_interval=7&keepalives_count=4&tcp_user_timeout=9000"
        connection = await Connector(f"{proxy.dsn}?{said}").connect({})
        link = connection._transport.get_extra_info("socket")

        def of_tcp(option: int) -> int:
            return int(link.getsockopt(socket.IPPROTO_TCP, option))

        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert of_tcp(socket.TCP_KEEPIDLE) == 33
        assert of_tcp(socket.TCP_KEEPINTVL) == 7
        assert of_tcp(socket.TCP_KEEPCNT) == 4
        assert of_tcp(socket.TCP_USER_TIMEOUT) == 9_000
        await connection.close()
        connection = await Connector(f"{proxy.dsn}?keepalives=0").connect({})
        link = connection._transport.get_extra_info("socket")
        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
        await connection.close()


def test_sockets_are_kept_alive_on_the_event_loop_of_servers_too(
    shared_database: str,
) -> None:
    async def kept_alive() -> None:
        async with proxied(shared_database) as proxy:
            connection = await Connector(f"{proxy.dsn}?keepalives_idle=33").connect({})
            link = connection._transport.get_extra_info("socket")
            assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 33
            await connection.close()

    with ThreadPoolExecutor() as elsewhere:
        elsewhere.submit(uvloop.run, kept_alive()).result()


async def test_options_of_the_session_are_set_and_ours_come_first(shared_database: str) -> None:
    options = "options='-c search_path=pg_catalog -c lock_timeout=7'"
    connection = await Connector(behind(shared_database, options=options)).connect(
        {"lock_timeout": "5"}
    )
    assert await connection.fetchval("SHOW search_path") == "pg_catalog"
    assert await connection.fetchval("SHOW lock_timeout") == "5ms"
    await connection.close()


def test_a_dsn_that_cannot_be_honoured_is_refused_before_anything_is_made() -> None:
    with pytest.raises(DsnRefused, match="pgbouncer"):
        PostgresRepository("postgresql://u@h/d?pgbouncer=true")


@pytest.mark.parametrize("command", [["serve"], ["migrate", "up"], ["migrate", "status"]])
def test_commands_refuse_a_dsn_in_one_line_that_names_the_parameters(command: list[str]) -> None:
    others = {name: value for name, value in os.environ.items() if "FEATOM_" not in name}
    dsn = "postgresql://u:s3cret@h/d?channel_binding=require&pgbouncer=true"
    done = subprocess.run(
        [sys.executable, "-m", "cli", *command],
        cwd=ROOT,
        env=others | {"FEATOM_DSN": dsn, "FEATOM_LISTEN": "127.0.0.1:0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "channel_binding must be disable or prefer" in done.stderr
    assert "pgbouncer is no parameter of libpq" in done.stderr
    assert "s3cret" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
