"""Coalesced reads: each gets its own, in its order, from a query that began after it."""

import asyncio

import pytest

from domain.entity_key import EntityKey
from domain.errors import DatabaseUnavailable, Overloaded
from domain.ports import StoredAggregate
from repository.reading.read_coalescer import QUERY_BYTES, ReadCoalescer, TooLarge
from tests.kit.samples import UID, entities, entity
from tests.unit.repository.fake_pool import FakePool, coalescer_on, found
from tests.unit.repository.moments import a_moment, at_hand


async def test_each_read_gets_its_own_in_its_order() -> None:
    pool = FakePool()
    asked = [
        [entity(1), entity(2)],
        [entity(2, "missing")],
        [entity(3), entity(3), entity(4, "missing"), entity(3)],
    ]
    async with coalescer_on(pool) as coalescer:
        answers = await asyncio.gather(*(coalescer.read(keys) for keys in asked))
    assert answers == [[found(key) for key in keys] for keys in asked]


async def test_a_key_that_is_asked_for_again_is_read_once_and_answered_each_time() -> None:
    pool = FakePool()
    one, other, missing = entity(1), entity(2), EntityKey("missing", "1")
    async with coalescer_on(pool) as reads:
        pool.hold()
        asked = [one, missing, one, other, missing, one]
        answers = [asyncio.create_task(reads.read(keys)) for keys in (asked, [other], [one])]
        await a_moment()
        pool.go_on()
        first, second, third = await asyncio.gather(*answers)
    assert first == [found(key) for key in asked]
    assert (second, third) == ([found(other)], [found(one)])
    assert all(len(query) == len(set(query)) for query in pool.queries)


async def test_requests_that_are_at_hand_go_along() -> None:
    pool = FakePool()
    async with coalescer_on(pool, readers=2) as coalescer:
        reads = await at_hand(
            lambda number: asyncio.create_task(coalescer.read([entity(number)])), 30
        )
        await asyncio.gather(*reads)
    assert pool.queries == [entities(range(30))]


async def test_what_is_asked_for_while_a_query_runs_forms_the_next_one() -> None:
    pool = FakePool()
    pool.hold()
    async with coalescer_on(pool) as coalescer:
        reads = [asyncio.create_task(coalescer.read([entity(0)]))]
        await a_moment()
        reads += [asyncio.create_task(coalescer.read([entity(n)])) for n in range(1, 9)]
        await a_moment()
        assert len(pool.queries) == 1
        pool.go_on()
        await asyncio.gather(*reads)
    assert pool.queries == [[entity(0)], entities(range(1, 9))]


async def test_a_query_takes_about_as_many_keys_as_it_may_and_never_half_a_read() -> None:
    pool = FakePool()
    pool.hold()
    async with coalescer_on(pool, query_keys=10) as coalescer:
        sevens = [entities(range(n, n + 7)) for n in range(0, 35, 7)]
        reads = [asyncio.create_task(coalescer.read(seven)) for seven in sevens]
        await a_moment()
        pool.go_on()
        await asyncio.gather(*reads)
    assert [len(query) for query in pool.queries] in ([14, 14, 7], [7, 14, 14])


async def test_another_query_runs_beside_a_long_one() -> None:
    pool = FakePool()
    pool.hold()
    async with coalescer_on(pool, readers=2, query_keys=3) as coalescer:
        reads = [asyncio.create_task(coalescer.read(entities(range(3))))]
        await a_moment()
        reads.append(asyncio.create_task(coalescer.read([entity(9)])))
        await a_moment()
        assert pool.queries == [entities(range(3)), [entity(9)]]
        pool.go_on()
        await asyncio.gather(*reads)


async def test_another_query_runs_beside_a_short_one_as_soon_as_it_would_be_long() -> None:
    pool = FakePool()
    pool.hold()
    async with coalescer_on(pool, readers=2, query_keys=3) as coalescer:
        reads = []
        for number in range(4):
            assert len(pool.queries) <= 1
            reads.append(asyncio.create_task(coalescer.read([entity(number)])))
            await a_moment()
        assert pool.queries == [[entity(0)], entities(range(1, 4))]
        pool.go_on()
        await asyncio.gather(*reads)


async def test_a_read_whose_caller_went_away_is_not_asked_for() -> None:
    pool = FakePool()
    pool.hold()
    async with coalescer_on(pool) as coalescer:
        first = asyncio.create_task(coalescer.read([entity(1)]))
        await a_moment()
        gone = asyncio.create_task(coalescer.read([entity(2)]))
        stays = asyncio.create_task(coalescer.read([entity(3)]))
        await a_moment()
        gone.cancel()
        await a_moment()
        pool.go_on()
        assert await first == [found(entity(1))]
        assert await stays == [found(entity(3))]
    assert pool.queries == [[entity(1)], [entity(3)]]


async def test_a_query_goes_on_when_a_caller_in_it_goes_away() -> None:
    pool = FakePool()
    pool.hold()
    async with coalescer_on(pool) as coalescer:
        first = asyncio.create_task(coalescer.read([entity(0)]))
        await a_moment()
        gone = asyncio.create_task(coalescer.read([entity(1)]))
        stays = asyncio.create_task(coalescer.read([entity(2)]))
        pool.go_on()
        await first
        gone.cancel()
        assert await stays == [found(entity(2))]


async def test_a_failed_query_fails_its_reads_and_not_the_next_ones() -> None:
    pool = FakePool()
    async with coalescer_on(pool) as coalescer:
        pool.error = DatabaseUnavailable()
        for answer in await asyncio.gather(
            coalescer.read([entity(1)]), coalescer.read([entity(2)]), return_exceptions=True
        ):
            assert isinstance(answer, DatabaseUnavailable)
        pool.error = None
        assert await coalescer.read([entity(3)]) == [found(entity(3))]


async def test_a_name_of_two_lines_is_refused_and_never_taken_for_two_names() -> None:
    pool = FakePool()
    async with coalescer_on(pool) as coalescer:
        with pytest.raises(ValueError, match="line break"):
            await coalescer.read([EntityKey("customer", "c-1\nc-2"), entity(3)])
    assert pool.queries == []


async def test_each_key_has_an_equal_share_of_the_bytes_of_a_query() -> None:
    pool = FakePool()
    async with coalescer_on(pool) as coalescer:
        await coalescer.read([entity(1)])
        await coalescer.read(entities(range(1_000)))
        # Each repetition is as much of an answer as the first.
        await coalescer.read([entity(1)] * 500)
    assert pool.shares == [QUERY_BYTES, QUERY_BYTES // 1_000, QUERY_BYTES // 500]


async def test_who_asks_for_more_than_a_share_is_told_how_much_and_the_others_are_answered() -> (
    None
):
    pool = FakePool()
    pool.sizes = {entity(3): 5_000_000, entity(5): 6_000_000, entity(6): 1_000}
    pool.hold()
    async with coalescer_on(pool) as coalescer:
        first = asyncio.create_task(coalescer.read([entity(0)]))
        await a_moment()
        asked = [
            [entity(1)],
            [entity(2), entity(3)],
            [entity(4, "missing"), entity(6)],
            [entity(3), entity(5), entity(3)],
        ]
        reads = [asyncio.create_task(coalescer.read(keys)) for keys in asked]
        await a_moment()
        pool.go_on()
        await first
        answers = await asyncio.gather(*reads)
    assert len(pool.queries) == 2
    assert answers[0] == [found(entity(1))]
    assert answers[1] == TooLarge(5_000_000 + len("c-2"))
    assert answers[2] == [None, found(entity(6))]
    assert answers[3] == TooLarge(16_000_000)


async def test_what_has_expired_counts_as_it_is_stored_and_is_served_without() -> None:
    pool = FakePool()
    pool.sizes = {entity(3): 5_000_000}
    async with coalescer_on(pool, expired=[entity(2), entity(3)]) as coalescer:
        assert await coalescer.read([entity(2)] * 2) == [StoredAggregate(UID, 1, 1, b"")] * 2
        measured = await coalescer.read([entity(2), entity(3)])
    assert measured == TooLarge(len("c-2") + 5_000_000)


async def test_beyond_the_bound_nobody_may_wait() -> None:
    pool = FakePool()
    pool.hold()
    async with coalescer_on(pool, max_waiting=2) as coalescer:
        reads = []
        for number in range(3):
            reads.append(asyncio.create_task(coalescer.read([entity(number)])))
            await a_moment()
        with pytest.raises(Overloaded):
            await coalescer.read([entity(9)])
        pool.go_on()
        await asyncio.gather(*reads)


@pytest.mark.parametrize("count", [1, 300])
async def test_a_fault_in_a_reader_leaves_nobody_waiting_and_the_reader_goes_on(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one query that is short, and of one that is full."""
    pool = FakePool()
    async with coalescer_on(pool) as coalescer:
        for step in ("_read", "_next_query"):

            def fails(self: ReadCoalescer, *given: object) -> None:
                monkeypatch.undo()
                raise ValueError("a fault of ours")

            monkeypatch.setattr(ReadCoalescer, step, fails)
            reads = (coalescer.read([entity(f"{number}")]) for number in range(count))
            async with asyncio.timeout(60):
                found = await asyncio.gather(*reads, return_exceptions=True)
            assert all(isinstance(each, list | ValueError) for each in found)
            async with asyncio.timeout(60):
                assert len(await coalescer.read([entity("after")])) == 1
            assert coalescer._short_queries == 0


async def test_an_answer_that_cannot_be_given_out_leaves_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(found: object, requests: object) -> None:
        raise ValueError("a fault of ours")

    pool = FakePool()
    async with coalescer_on(pool) as coalescer:
        monkeypatch.setattr(ReadCoalescer, "_give", staticmethod(fails))
        async with asyncio.timeout(60):
            with pytest.raises(ValueError, match="a fault of ours"):
                await coalescer.read([entity("1")])
