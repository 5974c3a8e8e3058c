"""Embedded PostgreSQLs in folders of a test's own, and servers that run one."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest

from server.embedded_postgres import EmbeddedPostgres
from tests.kit.postgres import folder_for_postgres

SERVER = """
import sys, time
from pathlib import Path
from server.embedded_postgres import EmbeddedPostgres
embedded = EmbeddedPostgres(Path(sys.argv[1]))
print(embedded.start(), flush=True)
time.sleep(600)
"""


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
