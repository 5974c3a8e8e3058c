"""Servers that write the same entity take turns, and nobody waits for a turn for long."""

import asyncio
import time

import pytest

from domain.entity_key import EntityKey
from repository.connections.isolation import ReadCommittedPool
from repository.writing.contention import LASTS, ContentionLocks
from tests.kit.fault_injection import Session, pool_on, repository_on
from tests.kit.reading import current_features
from tests.kit.samples import add, update


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_two_servers_that_have_lost_a_key_write_it_one_after_the_other(
    shared_database: str, key: EntityKey
) -> None:
    under_way = 0
    most = 0

    async def work() -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1

    async with (
        pool_on(shared_database, ReadCommittedPool, size=4) as one,
        pool_on(shared_database, ReadCommittedPool, size=4) as other,
    ):
        servers = [ContentionLocks(one, Clock()), ContentionLocks(other, Clock())]
        await asyncio.gather(*(contention.take([key], work) for contention in servers * 3))
    assert most == 1


async def test_whose_turn_does_not_come_goes_without(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    async def work() -> str:
        return "done"

    async with pool_on(shared_database, ReadCommittedPool, size=4) as pool:
        contention = ContentionLocks(pool, Clock())

        has_it, gives_it_up = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            has_it.set()
            await gives_it_up.wait()

        holder = asyncio.create_task(contention.take([key], hold))
        await has_it.wait()
        begun = time.monotonic()
        assert await contention.take([key], work) == "done"
        assert time.monotonic() - begun > 0.1
        assert not holder.done()
        gives_it_up.set()
        await holder


async def test_a_turn_that_runs_out_of_time_does_not_cut_the_work_short(
    shared_database: str, key: EntityKey
) -> None:
    """Or a commit would be given up half way, and the updates applied again."""

    async def work() -> str:
        await asyncio.sleep(1.5)
        return "done"

    # PostgreSQL ends the turn after 0.1 s, and a second later the pool gives up.
    async with pool_on(shared_database, ReadCommittedPool, statement_timeout=0.1) as pool:
        assert await ContentionLocks(pool, Clock()).take([key], work) == "done"


async def test_without_a_database_there_are_no_turns_and_the_work_is_done(key: EntityKey) -> None:
    async def work() -> str:
        return "done"

    async with pool_on("postgresql://featom@127.0.0.1:1/featom", ReadCommittedPool) as pool:
        assert await ContentionLocks(pool, Clock()).take([key], work) == "done"


@pytest.mark.parametrize("keys", [["a", "b"], ["b", "a"]])
async def test_turns_with_several_keys_never_end_in_a_circle(
    shared_database: str,
    key: EntityKey,
    keys: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Nobody gives up before PostgreSQL ends a circle, which costs one of them its turn.
    monkeypatch.setattr("repository.writing.contention._MAX_WAIT_MS", 60_000)
    caplog.set_level("INFO")
    there = [EntityKey(key.entity_type, name) for name in keys]
    back = there[::-1]

    async def work() -> None:
        await asyncio.sleep(0)

    async with pool_on(shared_database, ReadCommittedPool, size=4) as pool:
        contention = ContentionLocks(pool, Clock())
        await asyncio.gather(*(contention.take(order, work) for order in [there, back] * 10))
    assert "contended keys are written without their locks" not in caplog.text


def test_a_key_is_contended_for_a_while_after_a_loss() -> None:
    clock = Clock()
    contention = ContentionLocks(None, clock)  # type: ignore[arg-type]
    lost, other = EntityKey("customer", "c-1"), EntityKey("customer", "c-2")
    assert contention.contended([lost, other]) == set()
    contention.lost([lost])
    assert contention.contended([lost, other]) == {lost}
    clock.now = LASTS / 2
    contention.lost([lost])
    clock.now = LASTS * 1.4
    assert contention.contended([lost]) == {lost}
    clock.now = LASTS * 1.6
    assert contention.contended([lost]) == set()


async def test_two_servers_that_write_one_entity_all_the_time_soon_stop_losing(
    shared_database: str, key: EntityKey
) -> None:
    async with (
        repository_on(shared_database) as one,
        repository_on(shared_database) as other,
    ):

        async def caller(number: int, updates: int) -> None:
            for _ in range(updates):
                await (one, other)[number % 2].update(update(add("f", 1), key=key))

        async def lost_of(updates: int) -> float:
            before = [repository.statistics.undecided for repository in (one, other)]
            await asyncio.gather(*(caller(number, updates) for number in range(16)))
            after = [repository.statistics.undecided for repository in (one, other)]
            return (sum(after) - sum(before)) / (16 * updates)

        # Who has not lost yet does not know that there is another.
        await lost_of(60)
        # Without turns, one in six is lost again and again.
        assert await lost_of(40) < 0.1
        assert await current_features(one, key) == {"f": 1_600}
