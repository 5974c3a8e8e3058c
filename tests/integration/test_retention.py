"""How long request ids are kept: what the store says, whoever asks for more or less."""

import logging
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final
from uuid import uuid4

import pytest

from domain.entity_key import EntityKey
from domain.update import Update
from repository.connections.isolation import ReadCommittedPool
from repository.migrations import MigrationFailed
from repository.partitions import advance_partitions
from repository.postgres import PostgresOptions
from repository.retention import ObservedRetention, Retention, read_retention, set_retention
from tests.integration.test_metrics import number
from tests.kit.fault_injection import Session, let_pass, pool_on, repository_on, session_on
from tests.kit.program import FEATOM
from tests.kit.roles import as_app_role
from tests.kit.samples import add, update
from tests.kit.waiting import eventually

HOUR: Final = timedelta(hours=1)
DAY: Final = 24 * HOUR


@pytest.fixture
async def own(database: str) -> AsyncIterator[Session]:
    """A session on a database of the test's own."""
    async with session_on(database) as opened:
        yield opened


def promising(hours: float) -> PostgresOptions:
    return PostgresOptions(remember_requests=timedelta(hours=hours))


def asked(key: EntityKey) -> Update:
    return update(add("f", 1), key=key, request_id=uuid4(), fingerprint=b"1")


async def grow_old(session: Session, age: timedelta) -> None:
    """Let all requests have come so long ago, into the partitions of that time."""
    await session.execute("SELECT make_partition('requests', 'day', now() - $1::interval)", age)
    await session.execute("UPDATE requests SET commit_time = commit_time - $1::interval", age)
    # Or a later look would see rows come into a day that is over.
    await session.execute("SELECT pg_stat_force_next_flush()")


async def look(dsn: str, promised: timedelta) -> list[str]:
    """What a server does at its start; returns what was done to partitions."""
    retention = ObservedRetention(promised)
    async with pool_on(dsn, ReadCommittedPool) as pool:
        await retention.look(pool)
        return await advance_partitions(pool, promised)


async def look_again(dsn: str, session: Session, promised: timedelta) -> list[str]:
    """A look after so much time as the store keeps ids for was seen to pass."""
    await look(dsn, promised)
    await let_pass(session, (await read_retention(dsn)).requests)
    return await look(dsn, promised)


async def test_a_server_that_promises_less_neither_forgets_nor_hides_what_another_promises(
    database: str, own: Session, key: EntityKey
) -> None:
    first = asked(key)
    dsn = as_app_role(database)
    async with repository_on(dsn, promising(48)) as longer:
        await longer.update(first)
        await eventually(lambda: number(longer, "featom_database_clock_offset_error_seconds") < 9)
    await grow_old(own, 30 * HOUR)
    async with repository_on(dsn, promising(1)) as shorter:
        assert (await shorter.update(first)).replayed
        await eventually(
            lambda: number(shorter, "featom_request_id_retention_seconds") == 48 * 3_600
        )
        await let_pass(own, 30 * HOUR)
        assert await look(dsn, HOUR) == []
        assert (await shorter.update(first)).replayed
    assert await read_retention(database) == Retention(48 * HOUR, None)


async def test_a_server_that_promises_more_has_all_of_them_keep_ids_for_longer(
    database: str, own: Session, caplog: pytest.LogCaptureFixture
) -> None:
    await look(database, 48 * HOUR)
    assert "keeps request ids for 2 days, 0:00:00 now, not 1 day" in caplog.text
    assert (await read_retention(database)).requests == 48 * HOUR
    caplog.clear()
    with caplog.at_level(logging.INFO):
        await look(database, 12 * HOUR)
    assert "that this server asks for 12:00:00 changes nothing" in caplog.text
    assert (await read_retention(database)).requests == 48 * HOUR


async def test_the_build_before_says_what_it_promises_where_it_advances_partitions(
    own: Session, database: str
) -> None:
    await own.fetchval("SELECT advance_partitions(keep_requests => interval '72 hours')")
    assert (await read_retention(database)).requests == 72 * HOUR
    await own.fetchval("SELECT advance_partitions(keep_requests => interval '1 hour')")
    assert (await read_retention(database)).requests == 72 * HOUR


async def test_ids_go_when_the_store_has_kept_them_for_long_enough(
    database: str, own: Session, key: EntityKey
) -> None:
    first = asked(key)
    async with repository_on(database) as repository:
        await repository.update(first)
        await grow_old(own, 3 * DAY)
        (dropped,) = await look_again(database, own, DAY)
        assert dropped.startswith("dropped requests_")
        assert not (await repository.update(first)).replayed


async def test_what_the_owner_shortens_is_acted_upon_an_hour_later(
    database: str, own: Session, key: EntityKey
) -> None:
    """A server that promises more says so meanwhile."""
    await set_retention(database, requests=96 * HOUR)
    async with repository_on(database) as repository:
        await repository.update(asked(key))
    await grow_old(own, 3 * DAY)
    assert await look(database, DAY) == []
    await let_pass(own, 3 * DAY)
    assert await look(database, DAY) == []
    await set_retention(database, requests=DAY)
    await let_pass(own, timedelta(minutes=59))
    assert await look(database, DAY) == []
    await let_pass(own, timedelta(minutes=1))
    assert len(await look(database, DAY)) == 1


async def test_changes_go_by_the_stores_setting_once_their_month_was_over_for_a_day(
    database: str, own: Session
) -> None:
    await own.execute("SELECT make_partition('changes', 'month', '2001-02-03')")
    await let_pass(own, DAY)
    assert await look_again(database, own, DAY) == []
    await set_retention(database, changes=365 * DAY)
    await let_pass(own, HOUR)
    assert await look(database, DAY) == ["dropped changes_20010201"]


async def test_time_passes_as_far_as_the_clocks_of_server_and_database_both_say(
    database: str, own: Session
) -> None:
    now = 1_000.0
    one, other = (ObservedRetention(DAY, lambda: now) for _ in range(2))

    async def elapsed_after(retention: ObservedRetention) -> timedelta:
        async with pool_on(database, ReadCommittedPool) as pool:
            await retention.look(pool)
        elapsed: timedelta = await own.fetchval("SELECT elapsed FROM retention")
        return elapsed

    async def database_passes(time: timedelta) -> None:
        await own.execute("UPDATE retention SET look_time = look_time - $1::interval", time)

    # Nobody knows what passed before a server's first look.
    await database_passes(DAY)
    assert await elapsed_after(one) == timedelta()
    assert await elapsed_after(other) == timedelta()
    # The same hour counts once, whoever tells of it.
    now += 3_600
    await database_passes(HOUR)
    assert await elapsed_after(one) == HOUR
    assert await elapsed_after(other) - HOUR < timedelta(minutes=1)
    # A clock that jumps ahead adds what a server saw pass, and one that goes back adds nothing.
    before = await elapsed_after(one)
    now += 600
    await database_passes(30 * DAY)
    assert timedelta(minutes=9) < await elapsed_after(one) - before <= timedelta(minutes=10)
    before = await elapsed_after(one)
    now += 600
    await database_passes(-DAY)
    assert await elapsed_after(one) == before


async def test_the_bounds_of_partitions_do_not_depend_on_how_a_session_writes_dates(
    own: Session,
) -> None:
    await own.execute("SET datestyle TO 'SQL, DMY'; SET timezone TO 'Asia/Tokyo'")
    await own.execute("SELECT make_partition('requests', 'day', '2001-03-02 23:00+00')")
    await own.execute("RESET datestyle; SET timezone TO 'UTC'")
    bounds = await own.fetchval(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'requests_20010302'"
    )
    assert bounds == "FOR VALUES FROM ('2001-03-02 00:00:00+00') TO ('2001-03-03 00:00:00+00')"


def retention_command(dsn: str, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*FEATOM, "retention", "--dsn", dsn, *options], capture_output=True, text=True, check=False
    )


async def test_the_command_says_what_is_kept_and_the_owner_sets_it(database: str) -> None:
    said = retention_command(as_app_role(database))
    assert (said.returncode, said.stdout) == (
        0,
        "request ids  24 hours\nchanges      without limit\n",
    )
    said = retention_command(database, "--request-id-hours", "36", "--change-days", "400")
    assert said.stdout == "request ids  36 hours\nchanges      400 days\n"
    assert await read_retention(database) == Retention(36 * HOUR, 400 * DAY)
    assert retention_command(database, "--change-days", "0").stdout.endswith("without limit\n")
    assert await read_retention(database) == Retention(36 * HOUR, None)
    refused = retention_command(as_app_role(database), "--request-id-hours", "1")
    assert refused.returncode == 1
    assert "nothing was set: permission denied" in refused.stderr
    with pytest.raises(MigrationFailed):
        await set_retention(as_app_role(database), requests=HOUR)
