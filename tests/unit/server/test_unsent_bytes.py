"""Answers that are on their way: no more bytes of them than may be, and none is forgotten."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from domain.errors import AggregateNotFound, Overloaded
from server.rpc import unsent_bytes
from server.rpc.call import Call
from server.rpc.unsent_bytes import LARGE, TINY, UnsentBytes
from tests.unit.repository.moments import a_moment

LIMIT = 8 * LARGE
"""Half of it is for large answers."""


class FakeContext:
    """Of a call that is over when the test says so."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Any], None]] = []

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(callback)

    def end(self) -> None:
        for callback in self._callbacks:
            callback(self)


class Caller:
    """Asks for an answer of a size, and takes it when the test says so."""

    def __init__(self, unsent: UnsentBytes, size: int, estimate: int = 0) -> None:
        self._context: Any = FakeContext()
        self.answered = asyncio.create_task(self._ask(unsent, size, estimate))

    async def _ask(self, unsent: UnsentBytes, size: int, estimate: int) -> bytes:
        with unsent.room(Call("/method", self._context)) as room:
            if estimate:
                await room.take(estimate)
            return await room.filled(bytes(size))

    def take(self) -> None:
        self._context.end()


@pytest.fixture
def unsent() -> UnsentBytes:
    return UnsentBytes(LIMIT)


async def test_metrics_tell_what_is_on_its_way_and_how_much_may_be(unsent: UnsentBytes) -> None:
    def told(name: str) -> dict[str, Any]:
        (metric,) = (metric for metric in unsent.metrics() if metric.name == name)
        return {sample.labels["size"]: sample.value for sample in metric.samples}

    assert told("featom_unsent_answer_bytes_limit") == {"large": LIMIT // 2, "other": LIMIT // 2}
    callers = [Caller(unsent, 2 * LARGE), Caller(unsent, 3 * TINY), Caller(unsent, TINY)]
    for caller in callers:
        await caller.answered
    assert told("featom_unsent_answer_bytes") == {"large": 2 * LARGE, "other": 3 * TINY}
    for caller in callers:
        caller.take()
    assert told("featom_unsent_answer_bytes") == {"large": 0, "other": 0}


@pytest.mark.parametrize("estimate", [0, 3 * LARGE, 2 * TINY])
@pytest.mark.parametrize("size", [TINY + 1, LARGE, LARGE + 1, 3 * LARGE])
async def test_an_answer_counts_with_its_own_size_until_it_is_taken(
    unsent: UnsentBytes, size: int, estimate: int
) -> None:
    caller = Caller(unsent, size, estimate)
    assert len(await caller.answered) == size
    assert unsent.held == size
    caller.take()
    assert unsent.held == 0


async def test_a_tiny_answer_counts_nothing_and_never_waits(unsent: UnsentBytes) -> None:
    crowd = [Caller(unsent, size) for size in (*[LARGE] * 5, *[3 * LARGE] * 2)]
    await a_moment()
    held = unsent.held
    await Caller(unsent, TINY).answered
    assert unsent.held == held
    for caller in crowd:
        caller.answered.cancel()


async def test_large_answers_wait_in_order_and_never_for_the_others(unsent: UnsentBytes) -> None:
    first, second = Caller(unsent, 3 * LARGE, 3 * LARGE), Caller(unsent, 0, 3 * LARGE)
    await a_moment()
    third = Caller(unsent, 2 * LARGE, LARGE + 1)
    await a_moment()
    assert [each.answered.done() for each in (first, second, third)] == [True, False, False]
    others = [Caller(unsent, LARGE) for _ in range(4)]
    await asyncio.gather(*(each.answered for each in others))
    first.take()
    await second.answered
    await third.answered


async def test_one_answer_alone_fits_however_large_it_is(unsent: UnsentBytes) -> None:
    caller = Caller(unsent, 20 * LARGE, 20 * LARGE)
    await caller.answered
    caller.take()
    assert unsent.held == 0


async def test_who_waits_too_long_is_told_and_leaves_nothing_behind(
    unsent: UnsentBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsent_bytes, "PATIENCE", 0.05)
    slow = Caller(unsent, 4 * LARGE)
    late = Caller(unsent, 4 * LARGE, 4 * LARGE)
    with pytest.raises(Overloaded):
        await late.answered
    slow.take()
    assert unsent.held == 0
    await Caller(unsent, 4 * LARGE, 4 * LARGE).answered


async def test_who_goes_away_while_it_waits_lets_the_next_one_in(unsent: UnsentBytes) -> None:
    slow, gone, small = (Caller(unsent, size, size) for size in (2 * LARGE, 4 * LARGE, LARGE + 1))
    await a_moment()
    gone.answered.cancel()
    await small.answered
    slow.take()
    small.take()
    assert unsent.held == 0


async def test_who_goes_away_just_when_it_is_let_in_leaves_nothing_behind(
    unsent: UnsentBytes,
) -> None:
    slow, gone = Caller(unsent, 4 * LARGE, 4 * LARGE), Caller(unsent, 4 * LARGE, 4 * LARGE)
    await a_moment()
    slow.take()
    gone.answered.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone.answered
    assert unsent.held == 0


async def test_answers_that_are_made_may_not_wait_without_end(unsent: UnsentBytes) -> None:
    crowd = [Caller(unsent, LARGE) for _ in range(8)]
    await a_moment()
    assert sum(caller.answered.done() for caller in crowd) == 4
    with pytest.raises(Overloaded):
        await Caller(unsent, LARGE).answered
    for caller in crowd:
        caller.take()
        await asyncio.sleep(0)
    await asyncio.gather(*(caller.answered for caller in crowd))


async def test_a_read_that_fails_gives_its_room_back(unsent: UnsentBytes) -> None:
    async def fail() -> None:
        context: Any = FakeContext()
        with unsent.room(Call("/method", context)) as room:
            await room.take(2 * LARGE)
            raise AggregateNotFound

    with pytest.raises(AggregateNotFound):
        await fail()
    assert unsent.held == 0


async def test_what_was_done_is_answered_whatever_room_there_is(unsent: UnsentBytes) -> None:
    unsent.require_room()
    context: Any = FakeContext()
    for _ in range(4):
        assert len(unsent.keep(Call("/method", context), bytes(2 * LARGE))) == 2 * LARGE
    assert unsent.held == 8 * LARGE
    with pytest.raises(Overloaded):
        unsent.require_room()
    context.end()
    assert unsent.held == 0
    unsent.require_room()
