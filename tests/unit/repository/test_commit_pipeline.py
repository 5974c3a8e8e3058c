"""The commit pipeline: what is committed when, and with what."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from domain.errors import Overloaded
from domain.outcome import Outcome
from domain.update import Deletion, UpdateBatch, keys_of
from repository.pipeline import batch_sizes, commit_pipeline
from repository.pipeline.commit_pipeline import CommitPipeline
from repository.pipeline.submission import _MARGIN, Submission, answer_if_late
from tests.kit.samples import entity
from tests.kit.waiting import eventually
from tests.unit.repository.fake_committer import (
    FakeCommitter,
    answers,
    number_of,
    numbered,
    outcome,
    pipeline_to,
)
from tests.unit.repository.moments import a_moment, at_hand


async def test_a_command_is_answered_when_it_is_committed_and_not_before() -> None:
    committer = FakeCommitter()
    async with pipeline_to(committer) as pipeline:
        committer.hold()
        answer = pipeline.submit(numbered(1))
        await a_moment()
        assert committer.numbers == [[1]]
        assert not answer.done()
        committer.go_on()
        assert await answer == outcome(1)


async def test_what_arrives_while_a_batch_commits_forms_the_next_one() -> None:
    committer = FakeCommitter()
    async with pipeline_to(committer) as pipeline:
        committer.hold()
        answers = [pipeline.submit(numbered(0))]
        await a_moment()
        answers += [pipeline.submit(numbered(number)) for number in range(1, 50)]
        committer.go_on()
        assert await asyncio.gather(*answers) == [outcome(number) for number in range(50)]
    assert committer.numbers == [[0], list(range(1, 50))]


async def test_a_batch_has_no_more_than_its_share() -> None:
    committer = FakeCommitter()
    async with pipeline_to(committer, max_batch=10) as pipeline:
        await asyncio.gather(*(pipeline.submit(numbered(number)) for number in range(25)))
    assert [len(batch) for batch in committer.batches] == [10, 10, 5]


async def test_a_hot_key_may_have_more_in_a_batch_than_many_keys_together() -> None:
    committer = FakeCommitter()
    async with pipeline_to(committer) as pipeline:
        await asyncio.gather(*(pipeline.submit(numbered(number)) for number in range(300)))
        await asyncio.gather(
            *(pipeline.submit(numbered(number, entity(number))) for number in range(300))
        )
    assert [len(batch) for batch in committer.batches] == [256, 44, 128, 128, 44]


async def test_requests_that_are_at_hand_go_along() -> None:
    committer = FakeCommitter()
    async with pipeline_to(committer) as pipeline:
        answers = await at_hand(lambda number: pipeline.submit(numbered(number)), 30)
        await asyncio.gather(*answers)
    assert committer.numbers == [list(range(30))]


async def one_after_twelve(
    committer: FakeCommitter, pipeline: CommitPipeline
) -> list[asyncio.Future[Outcome]]:
    """Begin a batch of twelve commands that does not end; then one more command arrives."""
    committer.hold()
    answers = [pipeline.submit(numbered(number, entity(number))) for number in range(12)]
    await a_moment()
    answers.append(pipeline.submit(numbered(12, entity(12))))
    return answers


async def test_what_little_arrives_while_a_small_batch_commits_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # However slow this machine is, the batch does not take long.
    for module in (batch_sizes, commit_pipeline):
        monkeypatch.setattr(module, "LONG", 600.0)
    committer = FakeCommitter()
    async with pipeline_to(committer, lanes=2) as pipeline:
        answers = await one_after_twelve(committer, pipeline)
        await a_moment()
        assert committer.numbers == [list(range(12))]
        committer.go_on()
        await asyncio.gather(*answers)
    assert committer.numbers == [list(range(12)), [12]]


async def test_a_batch_that_takes_long_is_not_waited_for() -> None:
    committer = FakeCommitter()
    async with pipeline_to(committer, lanes=2) as pipeline:
        answers = await one_after_twelve(committer, pipeline)
        await eventually(lambda: committer.numbers == [list(range(12)), [12]])
        committer.go_on()
        await asyncio.gather(*answers)


async def test_commands_of_one_key_stay_in_order_through_lanes_and_lost_races() -> None:
    committer = FakeCommitter()
    luck = random.Random(7)
    committed: dict[str, list[int]] = {}

    def sometimes_loses(batch: Sequence[Submission]) -> list[Submission]:
        lost = {entity(number) for number in range(5) if luck.random() < 0.3}
        undecided = []
        for submission in batch:
            (key,) = keys_of(submission.command)
            if key in lost:
                undecided.append(submission)
            else:
                number = number_of(submission.command)
                committed.setdefault(key.entity_id, []).append(number)
                submission.settle(outcome(number))
        return undecided

    committer.always = sometimes_loses
    async with pipeline_to(committer, lanes=3, max_batch=8) as pipeline:
        await asyncio.gather(
            *(pipeline.submit(numbered(number, entity(number % 5))) for number in range(100))
        )
    assert committed == {f"c-{key}": list(range(key, 100, 5)) for key in range(5)}


async def test_lanes_commit_side_by_side_but_never_the_same_key() -> None:
    """The fake refuses a key that is in two batches."""
    committer = FakeCommitter()
    async with pipeline_to(committer, lanes=3, max_batch=4) as pipeline:
        await asyncio.gather(
            *(pipeline.submit(numbered(number, entity(number % 7))) for number in range(300))
        )
    assert committer.most_under_way == 3


async def test_a_key_that_is_stuck_does_not_hold_up_the_others() -> None:
    committer = FakeCommitter()
    async with pipeline_to(committer, lanes=2) as pipeline:
        committer.hold()
        stuck = pipeline.submit(numbered(1, entity("stuck")))
        await a_moment()
        stuck_too = pipeline.submit(numbered(2, entity("stuck")))
        other = pipeline.submit(numbered(3, entity("other")))
        await a_moment()
        assert committer.numbers == [[1], [3]]
        committer.go_on()
        await asyncio.gather(stuck, stuck_too, other)
    assert committer.numbers == [[1], [3], [2]]


async def test_a_batch_across_keys_keeps_its_place_in_the_line_of_each() -> None:
    committer = FakeCommitter()

    def settles(batch: Sequence[Submission]) -> list[Submission]:
        for submission in batch:
            submission.settle(outcome(0))
        return []

    committer.always = settles
    together = UpdateBatch(updates=(numbered(2, entity("a")), numbered(3, entity("b"))))
    async with pipeline_to(committer, lanes=3) as pipeline:
        committer.hold()
        answers = [
            pipeline.submit(command)
            for command in (
                numbered(1, entity("a")),
                together,
                numbered(4, entity("b")),
                numbered(5, entity("a")),
            )
        ]
        await a_moment()
        committer.go_on()
        await asyncio.gather(*answers)
    order = [command for batch in committer.batches for command in batch]
    assert order.index(together) == 1


@pytest.mark.parametrize("lanes", [1, 2, 3])
async def test_what_may_take_long_leaves_a_lane_to_the_others(lanes: int) -> None:
    committer = FakeCommitter()
    committer.always = answers
    async with pipeline_to(committer, lanes=lanes) as pipeline:
        committer.hold()
        erasures = [
            pipeline.submit(Deletion(key=entity(number), erase_history=True)) for number in range(6)
        ]
        await a_moment()
        assert len(committer.under_way) == max(1, lanes - 1)
        behind = pipeline.submit(numbered(1, entity(5)))
        other = pipeline.submit(numbered(1, entity("other")))
        await a_moment()
        assert len(committer.under_way) == lanes
        committer.go_on()
        await asyncio.gather(*erasures, behind, other)
    alone = [batch for batch in committer.batches if isinstance(batch[0], Deletion)]
    assert list(map(len, alone)) == [1] * len(erasures)


async def test_what_only_waits_for_others_is_told_before_its_caller_stops_waiting() -> None:
    committer = FakeCommitter()
    async with pipeline_to(committer) as pipeline:
        committer.hold()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        under_way = pipeline.submit(numbered(1))
        await a_moment()
        waits = pipeline.submit(numbered(2), begun + 2)
        waits_longer = pipeline.submit(numbered(3))
        with pytest.raises(Overloaded, match="before its turn came"):
            await waits
        assert not under_way.done()
        assert not waits_longer.done()
        committer.go_on()
        assert await under_way == outcome(1)
        assert await waits_longer == outcome(3)
    assert committer.numbers == [[1], [3]]


@pytest.mark.parametrize(("lasts", "early"), [(1.0, 0.1), (60.0, _MARGIN)])
async def test_who_waits_is_told_a_moment_before_its_time_is_up(lasts: float, early: float) -> None:
    waits = Submission(numbered(1), asyncio.get_running_loop().create_future(), 100 + lasts, 100)
    answer_if_late(100 + lasts - 1.1 * early, waits)
    assert not waits.answer.done()
    answer_if_late(100 + lasts - 0.9 * early, waits)
    with pytest.raises(Overloaded, match="before its turn came"):
        waits.answer.result()


async def test_nothing_is_looked_for_when_nothing_waits() -> None:
    async with pipeline_to(FakeCommitter()) as pipeline:
        await pipeline.submit(numbered(1))
        await asyncio.sleep(0.3)
        assert pipeline._looking_for_late is None
