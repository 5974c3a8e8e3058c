"""The PostgreSQL of a server's own, from its start to its end."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from server import main
from server.settings import Settings

EVENTS: list[str] = []


class Postgres:
    """Stands in for EmbeddedPostgres."""

    dsn = "postgresql://"

    def __init__(self, folder: Path) -> None:
        EVENTS.clear()

    def start(self) -> str:
        EVENTS.append("started")
        return "new cluster"

    def stop(self) -> None:
        EVENTS.append("stopped")


async def nothing_to_migrate(dsn: str) -> list[str]:
    return []


async def watch(postgres: Postgres) -> None:
    EVENTS.append("watched")
    try:
        await asyncio.Event().wait()
    finally:
        EVENTS.append("no longer watched")


@pytest.mark.parametrize("error", [None, OSError("the port is taken")])
async def test_nobody_starts_it_again_when_it_is_stopped(
    error: OSError | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(main, "EmbeddedPostgres", Postgres)
    monkeypatch.setattr(main, "migrate", nothing_to_migrate)
    monkeypatch.setattr(main, "keep_running", watch)
    with suppress(OSError):
        async with main._database(Settings()):
            await asyncio.sleep(0)
            if error is not None:
                raise error
    assert EVENTS == ["started", "watched", "no longer watched", "stopped"]
