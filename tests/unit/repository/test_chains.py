"""Batches of a hot key that follow each other: when, and what becomes of them if one is lost."""

import asyncio
import random
from collections.abc import Iterator, Sequence

import pytest

from domain.errors import DatabaseUnavailable
from domain.outcome import Outcome
from repository.pipeline.commit_pipeline import CommitPipeline
from repository.pipeline.committing import commit
from repository.pipeline.submission import Submission
from repository.writing.chaining import ChainLink
from tests.kit.samples import entity
from tests.unit.repository.fake_committer import (
    FakeCommitter,
    commits,
    finds_what_was_committed,
    loses,
    loses_the_answer,
    number_of,
    numbered,
    outcome,
    pipeline_to,
    raises,
)
from tests.unit.repository.moments import a_moment

HOT = 200
COMMANDS = 12_000


@pytest.fixture
def committer() -> Iterator[FakeCommitter]:
    committer = FakeCommitter()
    committer.has_left_rows = True
    committer.hold()
    yield committer
    assert committer.under_way == []


def submitted(pipeline: CommitPipeline, *numbers: int) -> list["asyncio.Future[Outcome]"]:
    return [pipeline.submit(numbered(number)) for number in numbers]


async def test_half_of_a_hot_key_is_evaluated_while_the_other_half_is_written(
    committer: FakeCommitter,
) -> None:
    async with pipeline_to(committer, lanes=2) as pipeline:
        answers = submitted(pipeline, *range(HOT))
        await a_moment()
        assert committer.numbers == [[*range(100)], [*range(100, 200)]]
        assert not committer.behind
        assert not any(answer.done() for answer in answers)
        committer.go_on()
        assert await asyncio.gather(*answers) == [outcome(number) for number in range(HOT)]
    assert len(committer.behind) == 1
    assert pipeline.statistics.chained == 1


@pytest.mark.parametrize("lanes", [1, 2])
async def test_one_lane_is_always_left_for_other_keys(committer: FakeCommitter, lanes: int) -> None:
    async with pipeline_to(committer, lanes=lanes) as pipeline:
        answers = [
            pipeline.submit(numbered(number, entity(key)))
            for key in ("1", "2")
            for number in range(3 * HOT)
        ]
        await a_moment()
        assert len(committer.under_way) == (1 if lanes == 1 else 3)
        committer.go_on()
        await asyncio.gather(*answers)


async def test_a_little_does_not_follow(committer: FakeCommitter) -> None:
    async with pipeline_to(committer, lanes=2) as pipeline:
        submitted(pipeline, *range(10))
        while not committer.batches:  # noqa: ASYNC110 - before the batch can be followed
            await asyncio.sleep(0)
        submitted(pipeline, *range(10, 40))
        await a_moment()
        assert len(committer.under_way) == 1


@pytest.mark.parametrize("fails", [loses, loses_the_answer], ids=lambda it: it.__name__)
async def test_what_followed_a_lost_batch_comes_again_after_it_and_in_order(
    committer: FakeCommitter, fails: object
) -> None:
    committer.reactions.append(fails)  # type: ignore[arg-type]
    if fails is loses_the_answer:
        committer.reactions.append(finds_what_was_committed)
    async with pipeline_to(committer, lanes=2) as pipeline:
        answers = submitted(pipeline, *range(HOT))
        await a_moment()
        committer.go_on()
        assert await asyncio.gather(*answers) == [outcome(number) for number in range(HOT)]
    again = [number for batch in committer.numbers[2:] for number in batch]
    assert again == [*range(HOT)]
    assert pipeline.statistics.undecided == HOT
    assert pipeline.statistics.chained == len(committer.behind)


async def test_what_followed_a_failed_batch_is_not_failed_with_it(
    committer: FakeCommitter,
) -> None:
    committer.reactions.append(raises(DatabaseUnavailable()))
    async with pipeline_to(committer, lanes=2) as pipeline:
        answers = submitted(pipeline, *range(HOT))
        await a_moment()
        committer.go_on()
        ended = await asyncio.gather(*answers, return_exceptions=True)
    assert [type(each) for each in ended[:100]] == [DatabaseUnavailable] * 100
    assert ended[100:] == [outcome(number) for number in range(100, HOT)]
    assert not committer.behind


async def test_a_batch_that_fails_behind_another_is_first_tried_by_itself(
    committer: FakeCommitter,
) -> None:
    committer.reactions += [commits, raises(ValueError("not for the database"))]
    async with pipeline_to(committer, lanes=2) as pipeline:
        answers = submitted(pipeline, *range(HOT))
        await a_moment()
        committer.go_on()
        assert await asyncio.gather(*answers) == [outcome(number) for number in range(HOT)]
    assert committer.numbers == [[*range(100)], [*range(100, 200)], [*range(100, 200)]]


async def test_keys_that_only_the_one_behind_has_are_free_when_it_was_in_vain(
    committer: FakeCommitter,
) -> None:
    committer.reactions.append(loses)
    async with pipeline_to(committer, lanes=2) as pipeline:
        answers = submitted(pipeline, *range(HOT))
        await a_moment()
        for answer in answers[100:]:
            answer.cancel()
        committer.go_on()
        await asyncio.gather(*answers[:100])
        assert await pipeline.submit(numbered(7)) == outcome(7)
    assert pipeline.waiting == 0


async def test_a_batch_that_keeps_failing_is_not_halved_behind_another() -> None:
    """Its halves would overtake what it came after."""
    committer = FakeCommitter()
    committer.always = loses
    ahead = ChainLink()
    ahead.committed(1)
    loop = asyncio.get_running_loop()
    batch = [
        Submission(numbered(n, entity(n)), loop.create_future(), loop.time() + 9, attempts=9)
        for n in range(4)
    ]
    assert await commit(committer, batch, ahead, ChainLink()) == batch
    assert committer.numbers == [[0, 1, 2, 3]]


async def test_lanes_follow_themselves_and_never_each_other() -> None:
    """The fake refuses a key that is in two batches, unless one is right behind the other."""
    committer = FakeCommitter()
    committer.has_left_rows = True
    luck = random.Random(5)
    committed: dict[str, list[int]] = {}

    def sometimes_loses(batch: Sequence[Submission]) -> list[Submission]:
        if luck.random() < 0.2:
            return list(batch)
        for submission in batch:
            number = number_of(submission.command)
            committed.setdefault(submission.keys[0].entity_id, []).append(number)
            submission.settle(outcome(number))
        return []

    committer.always = sometimes_loses
    committer.contention = lambda: luck.randrange(30)
    async with pipeline_to(committer, lanes=3) as pipeline:
        answers = []
        for number in range(COMMANDS):
            answers.append(pipeline.submit(numbered(number, entity(number % 3))))
            if luck.random() < 0.02:
                await asyncio.sleep(0)
        await asyncio.gather(*answers)
    assert committed == {f"c-{key}": list(range(key, COMMANDS, 3)) for key in range(3)}
    assert pipeline.statistics.chained > 3
