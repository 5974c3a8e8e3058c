"""Partitions are made ahead, expire as retention says, and give way to who reads or writes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from repository.connections.isolation import ReadCommittedPool
from repository.migrations import MigrationFailed, indexes, up
from repository.migrations.revisions import revisions
from repository.migrations.running import run
from repository.migrations.session import session_on as migration_session_on
from repository.partitions import advance_partitions
from tests.kit.fault_injection import Session, let_pass, session_on, somebody_waits_for_a_lock

A_DAY = timedelta(days=1)


@pytest.fixture
async def own(database: str) -> AsyncIterator[Session]:
    """A session on a database of the test's own."""
    async with session_on(database) as opened:
        yield opened


async def partitions(session: Session, table: str) -> list[str]:
    rows = await session.fetch(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::text::regclass"
        " ORDER BY 1",
        table,
    )
    return [row[0] for row in rows]


def days(table: str, first: int, last: int) -> list[str]:
    """The names of the partitions of these days, counted from today."""
    today = datetime.now(UTC)
    return [f"{table}_{today + number * A_DAY:%Y%m%d}" for number in range(first, last + 1)]


async def remember_request(session: Session, when: timedelta) -> None:
    """Store a request id as of a time, counted from now."""
    await session.execute(
        "INSERT INTO requests VALUES ('t', 'x', gen_random_uuid(), now() + $1::interval, '', NULL)",
        when,
    )


async def maintain(
    session: Session,
    keep_requests: timedelta = A_DAY,
    *,
    keep_changes: timedelta | None = None,
    until: timedelta = A_DAY,
) -> None:
    """Maintain partitions, and once more when servers have seen `until` pass."""
    for passes in (until, timedelta()):
        await session.execute("SELECT maintain_partitions($1, $2)", keep_requests, keep_changes)
        await let_pass(session, passes)


async def partitions_with_rows(session: Session) -> list[str]:
    rows = await session.fetch("SELECT DISTINCT tableoid::regclass::text FROM requests ORDER BY 1")
    return [row[0] for row in rows]


async def test_partitions_are_made_ahead(own: Session) -> None:
    assert await partitions(own, "requests") == [*days("requests", 0, 7), "requests_default"]
    changes = await partitions(own, "changes")
    assert len(changes) == 4
    assert changes[-1] == "changes_default"
    assert changes[0] == f"changes_{datetime.now(UTC):%Y%m}01"


async def test_maintaining_partitions_again_changes_nothing(own: Session) -> None:
    before = await partitions(own, "requests"), await partitions(own, "changes")
    await maintain(own)
    assert (await partitions(own, "requests"), await partitions(own, "changes")) == before


async def test_expired_partitions_of_requests_are_dropped_and_no_others(own: Session) -> None:
    for number in range(-5, 0):
        await own.execute(
            "SELECT make_partition('requests', 'day', now() + $1::interval)", number * A_DAY
        )
        await remember_request(own, number * A_DAY)
    assert await partitions_with_rows(own) == days("requests", -5, -1)
    await maintain(own, keep_requests=2 * A_DAY, until=2 * A_DAY)
    # A day is kept until the last request of it has expired.
    assert await partitions_with_rows(own) == days("requests", -2, -1)
    expected = [*days("requests", -2, 7), "requests_default"]
    assert await partitions(own, "requests") == expected


async def test_changes_are_kept_unless_retention_is_asked_for(own: Session) -> None:
    await own.execute("SELECT make_partition('changes', 'month', '2001-02-03')")
    await maintain(own)
    assert "changes_20010201" in await partitions(own, "changes")
    await maintain(own, keep_changes=365 * A_DAY)
    assert "changes_20010201" not in await partitions(own, "changes")


async def test_a_row_without_a_partition_of_its_own_is_stored_all_the_same(own: Session) -> None:
    await remember_request(own, 20 * A_DAY)
    assert await partitions_with_rows(own) == ["requests_default"]


async def test_a_partition_that_is_made_late_takes_over_the_rows_of_its_time(own: Session) -> None:
    await own.execute(f"DROP TABLE {', '.join(days('requests', 0, 7))}")
    for number in (0, 1, 20):
        await remember_request(own, number * A_DAY)
    await maintain(own)
    assert await partitions_with_rows(own) == [*days("requests", 0, 1), "requests_default"]
    assert await own.fetchval("SELECT count(*) FROM requests") == 3


async def test_rows_that_no_partition_was_ever_made_for_expire_too(own: Session) -> None:
    await own.execute("DROP TABLE " + ", ".join(days("requests", 0, 7)))
    for number in (-3, -2, 20):
        await remember_request(own, number * A_DAY)
    await maintain(own, keep_requests=A_DAY)
    assert await own.fetchval("SELECT count(*) FROM requests") == 1
    assert await partitions_with_rows(own) == ["requests_default"]


async def test_changes_that_no_partition_was_ever_made_for_stay_unless_retention_is_asked_for(
    own: Session,
) -> None:
    await own.execute(
        "INSERT INTO changes VALUES"
        " ('t', 'x', gen_random_uuid(), 1, '2001-02-03', '1', gen_random_uuid(), NULL, '')"
    )
    await maintain(own)
    assert await own.fetchval("SELECT count(*) FROM changes") == 1
    await maintain(own, keep_changes=365 * A_DAY)
    assert await own.fetchval("SELECT count(*) FROM changes") == 0


async def test_a_step_gives_way_to_who_reads_and_is_taken_again(
    database: str, own: Session
) -> None:
    """To drop a partition everybody is locked out, and would wait behind us for a long read."""
    await own.execute("SELECT make_partition('requests', 'day', now() - interval '5 days')")
    assert await own.fetchval("SELECT advance_partitions('1 day')") is None
    await let_pass(own, A_DAY)
    pool = ReadCommittedPool(database, size=1, statement_timeout=10.0)
    await pool.open()
    async with session_on(database) as reader:
        transaction = reader.transaction()
        await transaction.start()
        await reader.fetch("SELECT FROM requests LIMIT 1")
        steps = asyncio.create_task(advance_partitions(pool, A_DAY, pause=0.1))
        await somebody_waits_for_a_lock(own)
        async with asyncio.timeout(60):
            await own.fetch("SELECT FROM requests LIMIT 1")
        assert not steps.done()
        await transaction.commit()
        assert await steps == [f"dropped {days('requests', -5, -5)[0]}"]
    await pool.close()


async def test_retention_of_changes_gives_way_to_a_dump_and_holds_no_writer_up(
    database: str, own: Session
) -> None:
    await own.execute("SELECT make_partition('changes', 'month', '2001-02-03')")
    await maintain(own)
    retention = "SELECT maintain_partitions(keep_requests => '1 day', keep_changes => '1 y')"
    async with session_on(database) as dump, session_on(database) as writer:
        async with dump.transaction():
            await dump.execute("LOCK TABLE changes IN ACCESS SHARE MODE")
            dropping = asyncio.create_task(own.execute(retention))
            await somebody_waits_for_a_lock(writer)
            # Behind it, and not for the dump, which goes on.
            async with writer.transaction(), asyncio.timeout(60):
                await writer.execute("LOCK TABLE changes IN ROW EXCLUSIVE MODE")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await dropping
        await own.execute(retention)
    assert "changes_20010201" not in await partitions(own, "changes")


async def test_of_two_sessions_that_maintain_partitions_one_finds_nothing_to_do(
    database: str, own: Session
) -> None:
    await own.execute(f"DROP TABLE {days('requests', 7, 7)[0]}")
    async with session_on(database) as other, own.transaction():
        step = "SELECT advance_partitions(interval '1 day')"
        assert await own.fetchval(step) == f"made {days('requests', 7, 7)[0]}"
        assert await other.fetchval(step) is None


BY_TRANSACTION = "entity_type_xid_idx"


async def before_the_index(dsn: str) -> None:
    """A schema as the build before has it, with changes in a partition and in the default one."""
    async with migration_session_on(dsn) as session:
        for revision in revisions().expand:
            if revision.id == "0007":
                break
            await run(session, revision.id)
        for month in ("now()", "'2001-02-03'"):
            await session.execute(
                "INSERT INTO changes VALUES ('t', 'x', gen_random_uuid(), 1, " + month + ","
                " pg_current_xact_id(), gen_random_uuid(), NULL, '')"
            )


async def indexes_by_transaction(session: Session) -> dict[str, str]:
    """Which part of which index each table of changes has, valid ones alone."""
    rows = await session.fetch(
        "SELECT x.indrelid::regclass::text, x.indexrelid::regclass::text FROM pg_index AS x"
        " JOIN pg_inherits AS i ON i.inhrelid = x.indexrelid"
        " WHERE i.inhparent = 'changes_by_transaction'::regclass AND x.indisvalid"
    )
    return dict(map(tuple, rows))


async def test_every_partition_of_changes_gets_the_index_beside_its_writers(
    bare_database: str,
) -> None:
    await before_the_index(bare_database)
    async with session_on(bare_database) as session, session_on(bare_database) as reader:
        transaction = reader.transaction(isolation="repeatable_read")
        await transaction.start()
        await reader.execute("SELECT FROM aggregates")
        migrating = asyncio.create_task(up(bare_database))
        # The build waits for who may still see other rows, and holds up no writer meanwhile.
        await somebody_waits_for_a_lock(session)
        async with asyncio.timeout(60):
            await session.execute(
                "INSERT INTO changes VALUES ('t', 'y', gen_random_uuid(), 1, now(),"
                " pg_current_xact_id(), gen_random_uuid(), NULL, '')"
            )
        await transaction.commit()
        await migrating
        expected = {
            name: f"{name}_{BY_TRANSACTION}" for name in await partitions(session, "changes")
        }
        assert await indexes_by_transaction(session) == expected
        assert await session.fetchval(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'changes_by_transaction'::regclass"
        )
        await session.execute("SELECT make_partition('changes', 'month', '2031-02-03')")
        assert "changes_20310201" in await indexes_by_transaction(session)


async def test_an_index_of_partitions_is_gone_on_with_after_a_failure(
    bare_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await before_the_index(bare_database)
    build = indexes._build
    built: list[str] = []

    def build_two(name: str, on: str) -> None:
        if len(built) == 2:
            raise asyncpg.DiskFullError("no space left on device")
        built.append(name)
        build(name, on)

    with monkeypatch.context() as patch:
        patch.setattr(indexes, "_build", build_two)
        with pytest.raises(MigrationFailed, match="no space left"):
            await up(bare_database)
    async with session_on(bare_database) as session:
        # As a build that fails leaves it.
        await session.execute(
            f"CREATE INDEX changes_default_{BY_TRANSACTION} ON changes_default (xid)"
        )
        assert len(await indexes_by_transaction(session)) == 2
        assert (await up(bare_database)).applied[0] == "0007"
        assert len(await indexes_by_transaction(session)) == len(
            await partitions(session, "changes")
        )
