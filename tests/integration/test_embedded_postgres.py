"""The server's own PostgreSQL, in all the states that a crash may leave it in."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from server.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresFailed
from tests.integration.embedded_servers import (
    connected,
    embedded,
    empty_folder,
    first_line_of,
    folder,
    made_cluster,
    server_on,
)
from tests.kit.postgres import binaries_by_version
from tests.kit.waiting import eventually, eventually_found

__all__ = ["embedded", "empty_folder", "folder", "made_cluster"]


# InternalClientError: the server said goodbye while the connection was idle.
ASYNCPGS_OWN = (asyncpg.InterfaceError, asyncpg.InternalClientError)


def postmaster_pid(folder: Path) -> int:
    return int((folder / "cluster" / "postmaster.pid").read_text().splitlines()[0])


def kill_postmaster_alone(folder: Path) -> None:
    os.kill(postmaster_pid(folder), signal.SIGKILL)
    while EmbeddedPostgres(folder).is_running():
        time.sleep(0.001)


@pytest.mark.parametrize("version", binaries_by_version())
async def test_a_new_cluster_is_durable_checked_and_ordered_by_code_point(
    version: str, empty_folder: Path
) -> None:
    embedded = EmbeddedPostgres(empty_folder, binaries_by_version()[version])
    assert embedded.start() == "new cluster"
    words = ["Z", "a", "é", "Ω", "ﬁ", "🙂", "b1", "B", "a b", "a-b"]
    try:
        async with connected(embedded) as connection:
            rows = await connection.fetch("SELECT name, setting FROM pg_settings")
            settings = {row["name"]: row["setting"] for row in rows}
            in_order = await connection.fetchval(
                "SELECT array_agg(word ORDER BY word) FROM unnest($1::text[]) word", words
            )
    finally:
        embedded.stop()

    assert settings["fsync"] == settings["full_page_writes"] == "on"
    assert settings["synchronous_commit"] == settings["data_checksums"] == "on"
    assert settings["server_encoding"] == "UTF8"
    assert settings["server_version"].startswith(version.removeprefix("postgres-"))
    assert settings["listen_addresses"] == ""
    assert in_order == sorted(words)


async def test_a_second_start_leaves_the_running_postgres_alone(
    embedded: EmbeddedPostgres, folder: Path
) -> None:
    embedded.start()
    first = postmaster_pid(folder)
    assert embedded.start().startswith("found running since 20")
    assert postmaster_pid(folder) == first
    assert embedded.is_running()


async def test_rows_survive_a_stop_and_a_start(embedded: EmbeddedPostgres) -> None:
    embedded.start()
    async with connected(embedded) as connection:
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    embedded.stop()
    embedded.stop()

    assert embedded.start() == "stopped cleanly"
    async with connected(embedded) as connection:
        assert await connection.fetchval("SELECT number FROM kept") == 7


def test_a_stop_before_any_start_has_no_effect(empty_folder: Path) -> None:
    EmbeddedPostgres(empty_folder).stop()
    assert not empty_folder.exists()


async def test_every_acknowledged_row_survives_a_kill_under_load(
    embedded: EmbeddedPostgres, folder: Path
) -> None:
    embedded.start()
    async with connected(embedded) as connection:
        await connection.execute("CREATE TABLE written (number int)")
    numbers = count()
    acknowledged: set[int] = set()

    async def write() -> None:
        with suppress(asyncpg.PostgresError, OSError, *ASYNCPGS_OWN):
            async with connected(embedded) as connection:
                while True:
                    number = next(numbers)
                    await connection.execute("INSERT INTO written VALUES ($1)", number)
                    acknowledged.add(number)

    writers = [asyncio.create_task(write()) for _ in range(8)]
    await eventually(lambda: len(acknowledged) > 500)
    kill_postmaster_alone(folder)
    found = await asyncio.to_thread(embedded.start)
    await asyncio.gather(*writers)

    assert found == "recovered after a crash"
    async with connected(embedded) as connection:
        rows = await connection.fetch("SELECT number FROM written")
    assert acknowledged <= {row["number"] for row in rows}


async def test_a_busy_backend_of_a_dead_postmaster_does_not_stand_in_the_way(
    embedded: EmbeddedPostgres, folder: Path
) -> None:
    embedded.start()

    async def never_ends() -> None:
        async with connected(embedded) as connection:
            await connection.execute("DO $$ BEGIN LOOP END LOOP; END $$")

    backend = asyncio.create_task(never_ends())
    async with connected(embedded) as connection:
        busy = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'DO $$%'"
        await eventually_found(connection, busy)
    kill_postmaster_alone(folder)
    await asyncio.sleep(0.1)
    assert not backend.done(), "the backend lives, or this test proves nothing"

    assert await asyncio.to_thread(embedded.start) == "recovered after a crash"
    with pytest.raises(asyncpg.ConnectionDoesNotExistError):
        await backend


def test_a_pid_file_with_a_strangers_number_does_not_stand_in_the_way(
    embedded: EmbeddedPostgres, folder: Path
) -> None:
    embedded.start()
    pid_file = folder / "cluster" / "postmaster.pid"
    embedded.kill()
    owner = pid_file.stat().st_uid if os.geteuid() == 0 else None
    stranger = subprocess.Popen(["sleep", "60"], user=owner)
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
    lock = folder / "socket" / ".s.PGSQL.5432.lock"
    lock.write_text(pid_file.read_text())

    try:
        assert embedded.start() == "recovered after a crash"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_the_postgres_of_a_killed_server_is_adopted(
    embedded: EmbeddedPostgres, folder: Path
) -> None:
    with server_on(folder) as server:
        assert first_line_of(server) == "stopped cleanly\n"
        orphan = postmaster_pid(folder)

    found = embedded.start()

    assert found.startswith("found running since 20")
    assert found.endswith(", adopted")
    assert postmaster_pid(folder) == orphan


def test_an_adopted_postgres_that_lost_its_socket_is_started_anew(
    embedded: EmbeddedPostgres, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules[EmbeddedPostgres.__module__]
    monkeypatch.setattr(module, "SILENCE_SECONDS", 0.2)
    embedded.start()
    first = postmaster_pid(folder)
    (folder / "socket" / ".s.PGSQL.5432").unlink()

    assert embedded.start() == "stopped cleanly"
    assert postmaster_pid(folder) != first


def test_a_failed_start_shows_the_end_of_the_log_and_frees_the_folder(
    embedded: EmbeddedPostgres, folder: Path
) -> None:
    nonsense = EmbeddedPostgres(folder, settings={"shared_buffers": "lots"})
    with pytest.raises(
        EmbeddedPostgresFailed, match=r'invalid value for .*"shared_buffers": "lots"'
    ):
        nonsense.start()
    assert embedded.start() == "stopped cleanly"


def test_a_terminals_interrupt_does_not_reach_it(embedded: EmbeddedPostgres, folder: Path) -> None:
    embedded.start()
    assert os.getsid(postmaster_pid(folder)) != os.getsid(0)
