"""Connections as servers of some build have them, to be in the way of migrations."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from repository.connections.pool import Pool
from repository.migrations.session import keep_out_before
from repository.migrations.window import health_session_name
from tests.kit.fault_injection import Session, session_on


@asynccontextmanager
async def connected(dsn: str, build: int) -> AsyncIterator[None]:
    """A server of a build is connected, as far as others can see."""
    async with session_on(dsn) as session:
        await session.execute(f"SET application_name TO '{health_session_name(build)}'")
        yield


async def use(pool: Pool) -> None:
    await pool.run(lambda connection: connection.fetchval("SELECT 1"))


@pytest.fixture
def comes_in_between(monkeypatch: pytest.MonkeyPatch) -> list[Pool]:
    """Connects an older server after the first look at who is there, before anybody is kept out."""
    late: list[Pool] = []

    async def connect_and_keep_out(session: Session, build: int) -> None:
        for pool in late:
            await use(pool)
        await keep_out_before(session, build)

    for module in ("backfilling", "up"):
        monkeypatch.setattr(
            sys.modules[f"repository.migrations.{module}"], "keep_out_before", connect_and_keep_out
        )
    return late
