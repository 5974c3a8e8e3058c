"""Promises that rest on time, where the database's clock is set, or is not the server's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any, Final
from uuid import uuid4

import pytest

from domain.entity_key import EntityKey
from domain.entity_type import EntityType
from domain.entity_type_store import CurrentType
from domain.feature_spec import FeatureSpec
from domain.timestamp import EARLIEST, SECOND, Timestamp
from domain.update import Update
from domain.values import ValueKind
from featom.v1.aggregate_pb2 import FeatureAggregate
from repository.connections.isolation import ReadCommittedPool
from repository.connections.pool import Connection
from repository.partitions import advance_partitions
from repository.postgres import PostgresRepository
from repository.reading import large_reads, read_coalescer
from repository.retention import ObservedRetention
from tests.kit.fault_injection import pool_on, repository_on
from tests.kit.moved_clock import MovedClock, postgres_with_moved_clock
from tests.kit.postgres import binaries_by_version
from tests.kit.reading import current, current_features, list_all
from tests.kit.roles import as_app_role, migrate_for_servers
from tests.kit.samples import add, put, update

pytestmark = pytest.mark.needs("libfaketime")
HOUR: Final = timedelta(hours=1)
DAY: Final = 24 * HOUR
NONE: Final = timedelta()
_NUMBERS: Final = count(1)


@pytest.fixture(scope="module")
def started() -> Iterator[Callable[[str], MovedClock]]:
    with ExitStack() as servers:
        yield cache(lambda version: servers.enter_context(postgres_with_moved_clock(version)))


@pytest.fixture(params=list(binaries_by_version()))
def clock(
    request: pytest.FixtureRequest, started: Callable[[str], MovedClock]
) -> Iterator[MovedClock]:
    """The clock of a PostgreSQL; it is right again afterwards."""
    moved = started(request.param)
    yield moved
    moved.move(NONE)


@pytest.fixture
async def dsn(clock: MovedClock) -> AsyncIterator[str]:
    async with clock.postgres.database() as made:
        await migrate_for_servers(made)
        yield as_app_role(made)


class Passing:
    """Time that passes for everybody, beside a database whose clock is set; a server looks at it
    as servers do."""

    def __init__(self, dsn: str, clock: MovedClock) -> None:
        self._dsn = dsn
        self._clock = clock
        self._passed = self._ahead = NONE
        self._retention = ObservedRetention(DAY, lambda: 1_000 + self._passed.total_seconds())

    def set_clock(self, ahead: timedelta) -> None:
        """Set the database's clock to so much ahead of what it should be."""
        self._ahead = ahead
        self._clock.move(self._ahead + self._passed)

    async def hours(self, number: int) -> list[str]:
        """Let hours pass, with a look after each; returns what was dropped or deleted."""
        done: list[str] = []
        async with pool_on(self._dsn, ReadCommittedPool) as pool:
            for _ in range(number):
                self._passed += HOUR
                self.set_clock(self._ahead)
                await self._retention.look(pool)
                done += await advance_partitions(pool, self._retention.promised)
        return [step for step in done if not step.startswith("made")]


def asked(key: EntityKey) -> Update:
    return update(add("f", 1), key=key, request_id=uuid4(), fingerprint=b"1")


def a_key() -> EntityKey:
    return EntityKey("customer", f"c-{next(_NUMBERS)}")


async def test_a_clock_that_is_ahead_for_a_moment_forgets_no_request(
    dsn: str, clock: MovedClock
) -> None:
    before, ahead = asked(a_key()), asked(a_key())
    time = Passing(dsn, clock)
    async with repository_on(dsn) as repository:
        await repository.update(before)
        await time.hours(1)
        time.set_clock(30 * DAY)
        await repository.update(ahead)
        assert await time.hours(3) == []
        assert (await repository.update(before)).replayed
        time.set_clock(NONE)
        assert await time.hours(19) == []
        assert (await repository.update(before)).replayed
        assert (await repository.update(ahead)).replayed


async def test_a_clock_that_stays_ahead_forgets_a_request_when_servers_saw_its_time_pass(
    dsn: str, clock: MovedClock
) -> None:
    first = asked(a_key())
    time = Passing(dsn, clock)
    async with repository_on(dsn) as repository:
        await repository.update(first)
        await statistics_are_told(repository)
        await time.hours(1)
        time.set_clock(30 * DAY)
        # Its day may have been over an hour ago already, if the test began shortly before midnight.
        assert await time.hours(22) == []
        assert (await repository.update(first)).replayed
        assert await time.hours(3)
        assert not (await repository.update(first)).replayed


async def test_a_clock_that_goes_back_and_forth_forgets_no_request(
    dsn: str, clock: MovedClock
) -> None:
    before, behind = asked(a_key()), asked(a_key())
    time = Passing(dsn, clock)
    async with repository_on(dsn) as repository:
        await repository.update(before)
        await time.hours(2)
        time.set_clock(-30 * DAY)
        await repository.update(behind)
        assert await time.hours(3) == []
        time.set_clock(NONE)
        assert await time.hours(18) == []
        assert (await repository.update(before)).replayed
        assert (await repository.update(behind)).replayed


async def test_what_is_written_into_a_day_that_was_over_is_kept_from_then_on(
    dsn: str, clock: MovedClock
) -> None:
    """The clock went back between two looks, so that nobody has seen it."""
    late = asked(a_key())
    time = Passing(dsn, clock)
    async with repository_on(dsn) as repository:
        time.set_clock(-30 * DAY)
        await repository.update(asked(a_key()))
        await time.hours(1)
        time.set_clock(NONE)
        assert await time.hours(20) == []
        time.set_clock(-30 * DAY)
        await repository.update(late)
        time.set_clock(NONE)
        await statistics_are_told(repository)
        await time.hours(20)
        assert (await repository.update(late)).replayed


async def statistics_are_told(repository: PostgresRepository) -> None:
    """Have each connection that writes tell at once what it has inserted."""

    async def tell(connection: Connection) -> None:
        await connection.execute("SELECT pg_stat_force_next_flush(), pg_sleep(0.1)")

    await asyncio.gather(*(repository._writing.run(tell) for _ in range(2)))


@pytest.mark.parametrize("ahead", [HOUR, -HOUR], ids=["ahead", "behind"])
async def test_a_ttl_ends_by_the_clock_of_the_database_for_reads_as_for_updates(
    dsn: str, clock: MovedClock, ahead: timedelta
) -> None:
    clock.move(ahead)
    fresh, expired = a_key(), a_key()
    async with repository_on(dsn) as repository:
        now = await with_ttl(repository)
        await repository.update(update(put("f", 7, now - 600 * SECOND), key=fresh))
        await repository.update(update(put("f", 7, now - 2_400 * SECOND), key=expired))
        assert await current_features(repository, fresh) == {"f": 7}
        assert await current_features(repository, expired) == {}
        listed = {each.entity_id: each for each in await list_all(repository, "customer")}
        assert names(listed[fresh.entity_id].aggregate.state) == ["f"]
        assert names(listed[expired.entity_id].aggregate.state) == []
        for key, value in ((fresh, 8), (expired, 1)):
            await repository.update(update(add("f", 1), key=key))
            assert await current_features(repository, key) == {"f": value}


@pytest.mark.parametrize("ahead", [HOUR, -HOUR], ids=["ahead", "behind"])
async def test_a_ttl_of_large_aggregates_ends_by_the_clock_of_the_database(
    dsn: str, clock: MovedClock, ahead: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.move(ahead)
    monkeypatch.setattr(read_coalescer, "QUERY_BYTES", 14_000)
    monkeypatch.setattr(large_reads, "PIECE_BYTES", 4_000)
    pieces: list[int] = []
    read_piece = large_reads._read_piece

    async def noted_piece(connection: Connection, keys: Sequence[EntityKey]) -> Any:
        pieces.append(len(keys))
        return await read_piece(connection, keys)

    monkeypatch.setattr(large_reads, "_read_piece", noted_piece)
    keys = [a_key() for _ in range(10)]
    async with repository_on(dsn) as repository:
        now = await with_ttl(repository)
        for number, key in enumerate(keys):
            event_time = now - (2_400 if number % 2 else 600) * SECOND
            large = put("g", "x" * 1_600)
            await repository.update(update(put("f", 7, event_time), large, key=key))
        expected = [["g"] if number % 2 else ["f", "g"] for number in range(10)]
        each = await asyncio.gather(*(current(repository, key) for key in keys))
        assert [names(stored.state) for stored in each] == expected
        assert pieces == []
        together = await repository.read([*keys, keys[0]])
        assert [names(stored.state) for stored in together if stored] == [*expected, ["f", "g"]]
        assert pieces == [2] * 5


async def with_ttl(repository: PostgresRepository) -> Timestamp:
    """Let `f` of customers live for half an hour; returns the time by the database's clock."""
    spec = FeatureSpec(kind=ValueKind.INT64, ttl=1_800 * SECOND)
    definition = EntityType(name="customer", features={"f": spec})
    none = CurrentType(0, None)
    assert await repository.entity_types.replace(none, definition, None, EARLIEST)
    return await repository.entity_types.now()


def names(state: Any) -> list[str]:
    return sorted(FeatureAggregate.FromString(state).features)


async def test_how_far_the_clocks_are_apart_is_known_with_its_error(
    dsn: str, clock: MovedClock
) -> None:
    retention = ObservedRetention(DAY)
    clock.move(HOUR)
    async with pool_on(dsn, ReadCommittedPool) as pool:
        await retention.look(pool)
    error = retention.clock_offset_error
    assert 0 < error < 60
    assert abs(retention.clock_offset - HOUR.total_seconds()) <= error + 0.001
