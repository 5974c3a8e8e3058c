"""A batch is bounded in bytes, and small updates do not wait for large ones."""

import asyncio
import gc
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from application import working_copy
from codec.state import dump_aggregate, load_aggregate
from domain.aggregate import FeatureAggregate
from domain.entity_key import EntityKey
from domain.errors import LimitExceeded
from domain.outcome import Outcome, UpdateOutcome
from domain.update import Update, UpdateBatch
from repository.connections.isolation import ReadCommittedPool, SerializablePool
from repository.postgres import PostgresOptions, PostgresRepository
from repository.statements import WRITE, Query
from repository.writing import columns, snapshot, transaction
from repository.writing.weighing import HEAVY, LIGHT
from runtime import time_slice
from tests.integration.test_long_evaluations import ContentionLocks
from tests.kit.fault_injection import repository_on
from tests.kit.reading import current_features
from tests.kit.samples import add, append, put, update

CONTENT = bytes(1_000_000)
LARGE = [EntityKey("large", f"{number:02}") for number in range(20)]
SMALL = [EntityKey("small", f"{number:02}") for number in range(20)]
ONE_LANE = PostgresOptions(lanes=1)


@pytest.fixture
async def stored(database: str) -> str:
    """A database with aggregates of a megabyte, and with small ones."""
    async with repository_on(database) as repository:
        await asyncio.gather(
            *(repository.update(update(put("content", CONTENT), key=key)) for key in LARGE),
            *(repository.update(update(put("f", 0), key=key)) for key in SMALL),
        )
    return database


class Reads:
    """How many bytes of aggregates each query of a batch brought."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bytes: list[int] = []
        read = ReadCommittedPool.read

        async def noted(pool: ReadCommittedPool, sql: Query, *arguments: object) -> list[Any]:
            records = await read(pool, sql, *arguments)
            if sql == WRITE["read_for_update"]:
                self.bytes.append(sum(len(record["state"] or b"") for record in records))
            return records

        monkeypatch.setattr(ReadCommittedPool, "read", noted)


def adding(keys: Sequence[EntityKey]) -> list[Update]:
    return [update(add("n", 1), key=key) for key in keys]


async def value(repository: PostgresRepository, key: EntityKey, name: str) -> Any:
    features = await current_features(repository, key)
    assert features is not None
    return features[name]


def versions(outcomes: Sequence[Outcome]) -> list[int]:
    return [outcome.version for outcome in outcomes if isinstance(outcome, UpdateOutcome)]


@pytest.mark.parametrize("lanes", [1, 2])
async def test_updates_of_large_aggregates_are_read_some_at_a_time(
    stored: str, monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    async with repository_on(stored, PostgresOptions(lanes=lanes)) as repository:
        reads = Reads(monkeypatch)
        for _ in range(2):
            updates = adding([*LARGE, *SMALL])
            outcomes = await asyncio.gather(*map(repository.submit, updates))
        assert set(versions(outcomes)) == {3}
        assert [await value(repository, key, "n") for key in (*LARGE, *SMALL)] == [2] * 40
        assert repository.statistics.undecided == 0
    assert max(reads.bytes) <= HEAVY
    assert sum(reads.bytes) <= 2 * 20 * 1_001_000 + 40 * 10_000, "each was read once"


async def test_small_updates_are_answered_while_large_ones_are_under_way(stored: str) -> None:
    async with repository_on(stored) as repository:
        large = list(map(repository.submit, adding(LARGE)))
        small = list(map(repository.submit, adding(SMALL)))
        await asyncio.gather(*small)
        assert not all(answer.done() for answer in large)
        await asyncio.gather(*large)


async def test_one_large_update_alone_is_read_at_once(
    stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with repository_on(stored) as repository:
        reads = Reads(monkeypatch)
        await repository.update(update(add("n", 1), key=LARGE[0]))
        assert len(reads.bytes) == 1
        assert 1_000_000 < reads.bytes[0] < LIGHT


@pytest.mark.parametrize("lanes", [1, 2])
async def test_commands_of_a_large_aggregate_keep_their_order(stored: str, lanes: int) -> None:
    keys = [*LARGE[:12], *SMALL[:12]]
    async with repository_on(stored, PostgresOptions(lanes=lanes)) as repository:
        answers = []
        for number in range(30):
            answers += [repository.submit(update(append("l", number), key=key)) for key in keys]
            together = tuple(update(append("l", 100 + number), key=key) for key in keys[number::6])
            if together:
                answers.append(repository.submit(UpdateBatch(updates=together)))
        await asyncio.gather(*answers)
        for place, key in enumerate(keys):
            wanted = []
            for number in range(30):
                wanted.append(number)
                wanted += [100 + number] if key in keys[number::6] else []
            assert list(await value(repository, key, "l")) == wanted, place


async def test_large_aggregates_are_not_held_beside_what_is_written_of_them(
    stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the state is held once, where it is both the row's and a keyframe of the history."""
    commit, write_arguments = SerializablePool.commit, columns.write_arguments
    held, states = list[int](), list[Sequence[bytes]]()

    def alive() -> set[int]:
        """By their numbers: other tests in the same process may have left some."""
        found = (each for each in gc.get_objects() if isinstance(each, FeatureAggregate))
        return {id(each) for each in found if each.features}

    left_by_others = alive()

    async def noted_commit(pool: SerializablePool, work: Any) -> Any:
        held.append(len(alive() - left_by_others))
        return await commit(pool, work)

    async def noted_arguments(rows: Sequence[Any], batch_id: Any) -> list[Any]:
        arguments = await write_arguments(rows, batch_id)
        named = dict(zip(WRITE.parameters["write_batch"], arguments, strict=True))
        states.append([*named["updated.state"], *filter(None, named["recorded.state"])])
        return arguments

    monkeypatch.setattr(working_copy, "KEYFRAME_INTERVAL", 3)
    monkeypatch.setattr(SerializablePool, "commit", noted_commit)
    monkeypatch.setattr(transaction, "write_arguments", noted_arguments)
    async with repository_on(stored, ONE_LANE) as repository:
        for _ in range(2):
            await repository.update_batch(UpdateBatch(updates=tuple(adding(LARGE[:9]))))
        assert held == [0, 0]
        assert [len(each) for each in states] == [9, 18]
        assert len(set(map(id, states[-1]))) == 9


async def test_a_batch_of_many_answers_is_committed_in_parts(
    stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    async def noted(rows: Sequence[Any], batch_id: Any) -> list[Any]:
        sizes.append(sum(len(row.changes) for row in rows))
        return await columns.write_arguments(rows, batch_id)

    monkeypatch.setattr(transaction, "write_arguments", noted)
    async with repository_on(stored, ONE_LANE) as repository:
        updates = [update(put("f", n), key=LARGE[0], return_aggregate=True) for n in range(40)]
        outcomes = await asyncio.gather(*map(repository.submit, updates))
        assert versions(outcomes) == list(range(2, 42))
    assert sum(sizes) == 40
    assert max(sizes) * len(CONTENT) <= 16_777_216 + 1_001_000


async def test_what_is_too_large_together_is_refused_before_it_is_read(
    stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with repository_on(stored) as repository:
        more = [EntityKey("large", f"{number:02}") for number in range(20, 34)]
        await asyncio.gather(
            *(repository.update(update(put("content", CONTENT), key=key)) for key in more)
        )
        reads = Reads(monkeypatch)
        batch = UpdateBatch(updates=tuple(adding([*LARGE, *more, *SMALL])))
        for _ in range(2):
            with pytest.raises(LimitExceeded, match="At most 33,554,432 bytes of aggregates"):
                await repository.update_batch(batch)
        assert sum(reads.bytes) < 20_000
        found = await repository.read([LARGE[0], SMALL[0]])
        assert [each.version for each in found if each] == [1, 1]


async def test_the_event_loop_turns_while_large_aggregates_are_decoded_and_encoded(
    stored: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_slice, "LONG", 0.0)
    contention = ContentionLocks()
    decoded: list[int] = []
    encoded: list[int] = []

    def noted(seen: list[int], function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            seen.append(contention.count)
            return function(*arguments, **named)

        return call

    async with repository_on(stored, ONE_LANE) as repository:
        monkeypatch.setattr(snapshot, "load_aggregate", noted(decoded, load_aggregate))
        monkeypatch.setattr(columns, "dump_aggregate", noted(encoded, dump_aggregate))
        await repository.update_batch(UpdateBatch(updates=tuple(adding(LARGE[:10]))))
    for seen in (decoded, encoded):
        assert len(seen) >= 10
        assert all(later > earlier for earlier, later in pairwise(seen))
