"""With a synchronous standby: nobody is told what it does not have, whoever committed it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
import pytest

from domain.entity_key import EntityKey
from domain.entity_type import EntityType
from domain.entity_type_store import CurrentType, ScannedAggregate
from domain.errors import (
    AggregateExists,
    DatabaseUnavailable,
    IncompatibleChange,
    StaleEtag,
    Unavailable,
)
from domain.ports import AtVersion
from domain.update import Deletion
from repository.connections.commits_in_doubt import CommitsInDoubt
from repository.connections.isolation import ReadCommittedPool
from repository.postgres import PostgresOptions, PostgresRepository
from repository.sessions.facts import Backend
from repository.statements import DURABILITY
from tests.integration.retried_commands import asked, key, replayed, within
from tests.kit.fault_injection import Session, pool_on, repository_on, session_on
from tests.kit.postgres import binaries_by_version
from tests.kit.reading import current, current_features
from tests.kit.roles import as_app_role, migrate_for_servers
from tests.kit.samples import NOW, put, update
from tests.kit.standby import Replicated, replicated
from tests.kit.waiting import eventually, eventually_found, eventually_true

__all__ = ["key"]

OPTIONS: Final = PostgresOptions(statement_timeout=1.0)
VERSIONS: Final = binaries_by_version()
IN_DOUBT: Final = "SELECT FROM store_epoch WHERE commits_in_doubt IS NOT NULL"
SYNC_REP: Final = "SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture(scope="module")
def pairs() -> Iterator[Callable[[Path], Replicated]]:
    with ExitStack() as running:
        yield cache(lambda binaries: running.enter_context(replicated(binaries)))


@pytest.fixture(params=list(VERSIONS.values()), ids=list(VERSIONS))
async def pair(
    request: pytest.FixtureRequest, pairs: Callable[[Path], Replicated]
) -> AsyncIterator[Replicated]:
    """A primary, with the schema, and a standby that commits wait for; both run."""
    pair = pairs(request.param)
    await migrate_for_servers(pair.primary.dsn)
    await pair.be_synchronous()
    yield pair
    pair.primary.start()
    pair.standby.start()
    await pair.standby_follows()


@pytest.fixture
async def session(pair: Replicated) -> AsyncIterator[Session]:
    async with session_on(pair.primary.dsn) as opened:
        yield opened


@asynccontextmanager
async def servers_on(pair: Replicated, count: int = 2) -> AsyncIterator[list[PostgresRepository]]:
    """Repositories that have all the connections that they need."""
    async with AsyncExitStack() as stack:
        dsn = as_app_role(pair.primary.dsn)
        servers = [
            await stack.enter_async_context(repository_on(dsn, OPTIONS)) for _ in range(count)
        ]
        for number, server in enumerate(servers):
            await server.update(update(put("f", 0), key=EntityKey("card", f"warm-up-{number}")))
        yield servers


async def test_nobody_is_told_of_a_commit_that_waits_for_its_standby(
    pair: Replicated, session: Session, key: EntityKey
) -> None:
    deleted = key._replace(entity_id=f"{key.entity_id}-deleted")
    equal = key._replace(entity_id=f"{key.entity_id}-equal")
    again = asked(key, 2)
    event = update(put("f", 7, NOW), key=equal)
    deletion = Deletion(key=deleted, request_id=uuid4(), fingerprint=b"2")
    async with servers_on(pair) as servers:
        for each in (key, deleted):
            await servers[0].update(update(put("f", 1), key=each))
        pair.lose_standby()
        for _ in range(2):
            for command in (again, event, deletion):
                assert isinstance(await within(1.5, servers[0], command), Unavailable)
        for command in (again, deletion):
            assert isinstance(await within(1.5, servers[1], command), Unavailable)
        for server in servers:
            assert await current_features(server, key) == {"f": 1}
            assert await current_features(server, deleted) == {"f": 1}
            assert await server.read([equal]) == [None]
        assert await nothing_is_in_doubt(session)
        pair.standby.start()
        await pair.standby_follows()
        for server in servers:
            assert (await replayed(server, again)).version == 2
            assert (await server.update(event)).version == 1
            assert await server.read([deleted]) == [None]


@pytest.mark.parametrize("ended_by", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_of_a_commit_whose_wait_was_cut_short_nobody_is_told_until_a_standby_has_it(
    ended_by: str, pair: Replicated, session: Session, key: EntityKey
) -> None:
    again = asked(key, 2)
    async with servers_on(pair) as servers:
        before = (await servers[0].update(update(put("f", 1), key=key))).etag
        nothing, mark = CurrentType(0, None), await servers[0].entity_types.mark()
        pair.lose_standby()
        answer = asyncio.ensure_future(within(5.0, servers[0], again))
        await eventually_found(session, SYNC_REP)
        await session.fetch(
            f"SELECT {ended_by}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        )
        await eventually_found(session, IN_DOUBT)
        (state,) = await session.fetch(
            "SELECT version FROM aggregates WHERE entity_id = $1", key.entity_id
        )
        assert state["version"] == 2  # it can be seen
        other, types = servers[1], servers[1].entity_types
        questions: list[Awaitable[object]] = [
            other.read([key]),
            other.list_aggregates("card", "", 10, 1_000_000),
            other.read_as_of(key, AtVersion(1)),
            types.current("card"),
            types.scan("card", "", 10),
            types.delete("card", nothing, force=False),
            types.replace(nothing, EntityType(name="card"), refusing, mark),
            other.update(again),
            other.update(update(put("f", 2), key=key, validate_only=True)),
            other.update(update(put("f", 3), key=key, etag=before)),
            other.update(update(put("f", 3), key=key, must_be_absent=True)),
        ]
        told = await asyncio.gather(*questions, return_exceptions=True)
        assert {type(each) for each in told} == {DatabaseUnavailable}
        assert isinstance(await answer, Unavailable)
        pair.standby.start()
        await pair.standby_follows()
        for server in servers:
            assert (await replayed(server, again)).version == 2
            assert await current_features(server, key) == {"f": 2}
        with pytest.raises(StaleEtag):
            await other.update(update(put("f", 3), key=key, etag=before))
        with pytest.raises(AggregateExists):
            await other.update(update(put("f", 3), key=key, must_be_absent=True))
        await eventually_true(lambda: nothing_is_in_doubt(session))


async def refusing(page: Sequence[ScannedAggregate]) -> None:
    raise IncompatibleChange(len(page), [])


async def nothing_is_in_doubt(session: Session) -> bool:
    return not await session.fetch(IN_DOUBT)


@pytest.mark.parametrize("crashed", ["all of PostgreSQL", "one backend"])
async def test_after_a_crash_nothing_is_told_before_a_standby_has_what_was_recovered(
    crashed: str, pair: Replicated, key: EntityKey
) -> None:
    """After that of one backend PostgreSQL recovers, and says that it was started when it was."""
    again = asked(key, 2)
    async with servers_on(pair, 1) as (server,):
        await server.update(update(put("f", 1), key=key))
        pair.lose_standby()
        assert isinstance(await within(1.5, server, again), Unavailable)
        if crashed == "all of PostgreSQL":
            pair.primary.kill()
            pair.primary.start()
        else:
            await kill_a_backend(pair.primary.dsn)
        async with session_on(pair.primary.dsn) as session:
            for _ in range(3):
                questions = [server.read([key]) for _ in range(5)]
                told = await asyncio.gather(*questions, return_exceptions=True)
                assert {type(each) for each in told} == {DatabaseUnavailable}
                assert isinstance(await within(1.0, server, again), Unavailable)
                # Whoever asks again, not one more waits for the standby.
                assert len(await session.fetch(SYNC_REP)) <= 1
        pair.standby.start()
        await pair.standby_follows()
        assert (await replayed(server, again)).version == 2
        assert await current_features(server, key) == {"f": 2}


async def kill_a_backend(dsn: str) -> None:
    """PostgreSQL then ends all others, and recovers."""
    victim = await asyncpg.connect(dsn)
    os.kill(await victim.fetchval("SELECT pg_backend_pid()"), signal.SIGKILL)
    await eventually(victim.is_closed)

    async def is_back() -> bool:
        try:
            async with session_on(dsn):
                return True
        except (OSError, asyncpg.PostgresError):
            return False

    await eventually_true(is_back)


async def test_what_a_server_that_is_gone_has_announced_is_settled_by_another(
    pair: Replicated, session: Session, key: EntityKey
) -> None:
    gone = Backend(999_999, datetime.now(UTC))
    await session.execute("UPDATE store_epoch SET commits_in_doubt = ARRAY[$1]", str(gone))
    async with servers_on(pair, 1) as (server,):
        assert await server.read([key]) == [None]
        await eventually_true(lambda: nothing_is_in_doubt(session))


async def test_a_backend_is_announced_before_it_is_ended_and_until_a_standby_has_what_it_did(
    pair: Replicated, session: Session
) -> None:
    dsn = as_app_role(pair.primary.dsn)
    async with pool_on(dsn, ReadCommittedPool, 2, 5.0) as pool, session_on(dsn) as victim:
        in_doubt = CommitsInDoubt(pool)
        (own,) = await victim.fetch(
            "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        )
        pair.lose_standby()
        ending = asyncio.ensure_future(in_doubt.end(Backend(*own)))
        await eventually_found(session, SYNC_REP)
        assert await session.fetch("SELECT FROM pg_stat_activity WHERE pid = $1", own["pid"]) == []
        assert not await nothing_is_in_doubt(session)
        with pytest.raises(DatabaseUnavailable):
            await in_doubt.vouch(in_doubt.generation)
        pair.standby.start()
        assert await ending
        await in_doubt.vouch(in_doubt.generation)
        assert await nothing_is_in_doubt(session)
        await in_doubt.close()


async def test_a_backend_that_begins_to_wait_after_it_was_looked_at_is_not_ended(
    pair: Replicated, session: Session, key: EntityKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    unseen = "SELECT false WHERE $1::int > 0 AND $2::timestamptz < now()"
    again = asked(key, 1)
    async with servers_on(pair, 1) as (server,):
        monkeypatch.setitem(DURABILITY, "waits_for_standby", unseen)
        pair.lose_standby()
        assert isinstance(await within(1.5, server, again), Unavailable)
        await eventually_found(session, IN_DOUBT)
        assert len(await session.fetch(SYNC_REP)) >= 1
        assert await session.fetch("SELECT FROM aggregates WHERE entity_id = $1", key[1]) == []
        pair.standby.start()
        await pair.standby_follows()
        assert (await replayed(server, again)).version == 1
        await eventually_true(lambda: nothing_is_in_doubt(session))


async def test_a_connection_of_a_server_that_runs_needs_no_standby(
    pair: Replicated, key: EntityKey
) -> None:
    async with servers_on(pair, 1) as (server,):
        await server.update(update(put("f", 1), key=key))
        pair.lose_standby()
        async with repository_on(as_app_role(pair.primary.dsn), OPTIONS) as newcomer:
            assert (await current(newcomer, key)).version == 1
