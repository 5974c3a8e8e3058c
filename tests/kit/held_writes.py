"""Writes that a test holds up, and what a server tells of those that wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from tests.kit.fault_injection import Session, session_on, somebody_waits_for_a_lock
from tests.kit.scraping import Scrape, scrape
from tests.kit.serving import Server
from tests.kit.waiting import eventually_true


@asynccontextmanager
async def nothing_is_written(dsn: str) -> AsyncIterator[Session]:
    """Servers of a database read, and their writes wait until the block ends."""
    async with session_on(dsn) as session, session.transaction():
        await session.execute("LOCK TABLE aggregates IN EXCLUSIVE MODE")
        yield session


async def a_batch_is_held(session: Session) -> None:
    """Return when a batch waits for the block of `nothing_is_written`."""
    await somebody_waits_for_a_lock(session)


async def figures_of(server: Server) -> Scrape:
    return await asyncio.to_thread(scrape, server)


async def received(server: Server, method: str = "StreamUpdateFeatures") -> int:
    """How many messages a server has taken from streams."""
    total = (await figures_of(server)).total
    return int(total("grpc_server_msg_received_total", grpc_method=method))


async def waiting(server: Server) -> int:
    """How many commands are in no batch yet."""
    return int((await figures_of(server)).value("featom_pipeline_waiting"))


async def has_received(server: Server, count: int) -> None:
    """Return when a server has taken so many messages from streams."""

    async def enough() -> bool:
        return await received(server) >= count

    await eventually_true(enough)


async def has_ended(server: Server, code: str, count: int = 1) -> None:
    """Return when so many streams have ended with a code, as the server sees it."""

    async def ended(told: str) -> bool:
        total = (await figures_of(server)).total
        handled = total(
            "grpc_server_handled_total", grpc_method="StreamUpdateFeatures", grpc_code=told
        )
        return handled >= count

    await eventually_true(partial(ended, code))
