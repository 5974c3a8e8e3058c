"""The PostgreSQL of a server's own is started again when it has died, and only then."""

import asyncio
import errno
import os
import resource
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import asyncpg
import pytest

from server.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresFailed
from server.embedded_postgres.supervision import keep_running
from tests.kit.waiting import eventually

CANNOT_BE_SEEN = "it cannot be seen whether PostgreSQL runs"


class Watched(EmbeddedPostgres):
    """Counts looks and starts."""

    looks = starts = 0
    cannot_look: OSError | None = None
    cannot_start: Exception | None = None

    def is_running(self) -> bool:
        self.looks += 1
        if self.cannot_look is not None:
            raise self.cannot_look
        return super().is_running()

    def start(self) -> str:
        self.starts += 1
        if self.cannot_start is not None:
            raise self.cannot_start
        return super().start()


@pytest.fixture(scope="module")
def running() -> Iterator[Watched]:
    with tempfile.TemporaryDirectory() as folder:
        watched = Watched(Path(folder) / "postgres")
        watched.start()
        yield watched
        watched.stop()


@pytest.fixture
def postgres(running: Watched) -> Watched:
    running.looks = running.starts = 0
    running.cannot_look = running.cannot_start = None
    return running


@asynccontextmanager
async def kept_running(postgres: Watched) -> AsyncIterator[None]:
    supervisor = asyncio.create_task(keep_running(postgres))
    try:
        yield
        assert not supervisor.done()
    finally:
        supervisor.cancel()
        with suppress(asyncio.CancelledError):
            await supervisor


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process can open none."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        with suppress(OSError):
            while True:
                opened.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        for file in opened:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def looked_at_again(postgres: Watched, times: int = 3) -> None:
    before = postgres.looks
    await eventually(lambda: postgres.looks >= before + times)


async def test_that_nobody_can_look_for_want_of_files_is_no_death(
    postgres: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    connection = await asyncpg.connect(postgres.dsn)
    async with kept_running(postgres):
        with no_more_files():
            await looked_at_again(postgres)
        await looked_at_again(postgres)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    assert postgres.starts == 0
    assert caplog.text.count(CANNOT_BE_SEEN) == 1
    assert "PostgreSQL is seen to run" in caplog.text
    assert "has died" not in caplog.text


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN])
async def test_whatever_keeps_from_looking_is_said_once_and_is_no_death(
    postgres: Watched, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with kept_running(postgres):
        postgres.cannot_look = OSError(number, os.strerror(number))
        await looked_at_again(postgres)
    assert postgres.starts == 0
    assert caplog.text.count(CANNOT_BE_SEEN) == 1


async def test_one_that_died_is_started_again_also_if_that_fails_at_first(
    postgres: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    async with kept_running(postgres):
        postgres.cannot_start = EmbeddedPostgresFailed("no processes left")
        postgres.kill()
        await eventually(lambda: postgres.starts >= 2)
        postgres.cannot_start = RuntimeError("can't start new thread")
        before = postgres.starts
        await eventually(lambda: postgres.starts > before)
        postgres.cannot_start = None
        await eventually(postgres.is_running)
    assert caplog.text.count("does not start: no processes left") == 1
