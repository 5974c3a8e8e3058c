"""Reads of the past and of lists leave room for everybody else."""

import asyncio

import pytest

from domain.errors import Overloaded
from repository.connections.bulkhead import Bulkhead


class Database:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.asked = 0
        self.answered = 0

    async def read(self) -> int:
        self.asked += 1
        await self.go_on.wait()
        self.answered += 1
        return self.answered


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_few_run_at_a_time_and_the_others_follow() -> None:
    database, reads = Database(), Bulkhead(2, max_waiting=10)
    callers = [asyncio.create_task(reads.run(database.read)) for _ in range(6)]
    await settle()
    assert database.asked == 2
    database.go_on.set()
    assert sorted(await asyncio.gather(*callers)) == [1, 2, 3, 4, 5, 6]


async def test_when_too_many_wait_the_next_is_refused() -> None:
    database, reads = Database(), Bulkhead(1, max_waiting=2)
    callers = [asyncio.create_task(reads.run(database.read)) for _ in range(3)]
    await settle()
    with pytest.raises(Overloaded):
        await reads.run(database.read)
    database.go_on.set()
    await asyncio.gather(*callers)
    assert await reads.run(database.read) == 4


async def test_who_goes_away_while_waiting_is_not_read_for_and_takes_no_room() -> None:
    database, reads = Database(), Bulkhead(1, max_waiting=2)
    first, second = (asyncio.create_task(reads.run(database.read)) for _ in range(2))
    await settle()
    second.cancel()
    await settle()
    database.go_on.set()
    assert await first == 1
    assert await reads.run(database.read) == 2
    assert database.asked == 2


async def test_what_has_begun_goes_on_and_keeps_its_room_until_it_ends() -> None:
    database, reads = Database(), Bulkhead(1, max_waiting=2)
    gone = asyncio.create_task(reads.run(database.read))
    await settle()
    gone.cancel()
    following = asyncio.create_task(reads.run(database.read))
    await settle()
    assert database.asked == 1
    database.go_on.set()
    assert await following == 2
