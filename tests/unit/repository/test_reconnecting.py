"""A database that refuses is asked a few times a second, whoever wants a connection."""

import asyncio

import pytest

from repository.connections.outage import Reconnecting


class Database:
    """Refuses, or lets in, at a time that stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0
        self.refusal: Exception | None = OSError("first")
        self.answers = asyncio.Event()
        self.answers.set()
        self.reconnecting = Reconnecting(self.connect, lambda: self.now)

    async def connect(self) -> str:
        self.asked += 1
        await self.answers.wait()
        if self.refusal is not None:
            raise self.refusal
        return "connected"

    async def refuses(self, words: str) -> None:
        with pytest.raises(OSError, match=words):
            await self.reconnecting.connect()


async def test_who_comes_in_the_pause_is_told_what_the_last_attempt_said() -> None:
    database = Database()
    await database.refuses("first")
    database.refusal = OSError("second")
    for _ in range(100):
        await database.refuses("first")
    assert database.asked == 1
    database.now += 0.1
    await database.refuses("second")
    assert database.asked == 2


async def test_pauses_grow_and_not_beyond_a_second() -> None:
    database = Database()
    pauses = []
    for _ in range(8):
        begun, asked = database.now, database.asked
        while database.asked == asked:
            await database.refuses("first")
            database.now += 0.01
        pauses.append(database.now - begun)
    assert pauses[1] < 0.12
    assert all(0.5 <= pause <= 1.03 for pause in pauses[5:])
    assert len({round(pause, 2) for pause in pauses[5:]}) > 1  # or all servers ask together


async def test_of_those_that_wait_for_an_answer_after_a_failure_there_is_one() -> None:
    database = Database()
    await database.refuses("first")
    database.now += 5
    database.answers.clear()
    one = asyncio.create_task(database.reconnecting.connect())
    await asyncio.sleep(0)
    for _ in range(10):
        await database.refuses("first")
    database.refusal = None
    database.answers.set()
    assert await one == "connected"
    assert database.asked == 2


async def test_while_all_is_well_everybody_connects_at_once() -> None:
    database = Database()
    database.refusal = None
    database.answers.clear()
    all_of_them = [asyncio.create_task(database.reconnecting.connect()) for _ in range(9)]
    await asyncio.sleep(0)
    assert database.asked == 9
    database.answers.set()
    assert await asyncio.gather(*all_of_them) == ["connected"] * 9


async def test_a_success_ends_the_pauses() -> None:
    database = Database()
    for _ in range(5):
        await database.refuses("first")
        database.now += 5
    database.refusal = None
    assert await database.reconnecting.connect() == "connected"
    database.refusal = OSError("third")
    await database.refuses("third")
    database.now += 0.1
    database.refusal = None
    assert await database.reconnecting.connect() == "connected"


async def test_an_error_that_is_told_again_and_again_does_not_grow() -> None:
    database = Database()
    depths = set()
    for _ in range(50):
        with pytest.raises(OSError, match="first") as refused:
            await database.reconnecting.connect()
        depths.add(len(refused.traceback))
    assert len(depths) <= 2
