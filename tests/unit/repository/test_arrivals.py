"""Whoever waits for what is at hand does not wait for the turns of long work."""

import asyncio
import time

from repository.arrivals import Arrivals


async def test_nothing_is_waited_for_when_turns_are_long() -> None:
    turns = 0

    def work() -> None:
        nonlocal turns
        turns += 1
        time.sleep(0.005)
        asyncio.get_running_loop().call_soon(work)

    asyncio.get_running_loop().call_soon(work)
    await Arrivals().let_in(lambda: True)
    assert turns < 10


async def test_what_comes_a_few_turns_later_is_waited_for() -> None:
    arrivals, come = Arrivals(), []

    async def arrive() -> None:
        for number in range(5):
            for _ in range(3):
                await asyncio.sleep(0)
            come.append(number)
            arrivals.note()

    arriving = asyncio.create_task(arrive())
    await arrivals.let_in(lambda: True)
    assert len(come) == 5
    await arriving
