"""Commands that are cancelled, expire or find no room, and what a drain does with the rest."""

import asyncio
from collections.abc import Sequence

import pytest

from domain.errors import Draining, Overloaded
from repository.pipeline import commit_pipeline
from repository.pipeline.submission import Submission
from tests.kit.samples import entity
from tests.unit.repository.fake_committer import (
    FakeCommitter,
    loses,
    numbered,
    outcome,
    pipeline_to,
)
from tests.unit.repository.moments import a_moment


async def test_a_cancelled_command_never_enters_a_batch() -> None:
    committer = FakeCommitter()
    async with pipeline_to(committer) as pipeline:
        committer.hold()
        first = pipeline.submit(numbered(1))
        await a_moment()
        gone, stays = pipeline.submit(numbered(2)), pipeline.submit(numbered(3))
        gone.cancel()
        committer.go_on()
        assert await first == outcome(1)
        assert await stays == outcome(3)
    assert committer.numbers == [[1], [3]]


async def test_a_command_that_is_cancelled_in_a_batch_is_still_committed_with_it() -> None:
    committer = FakeCommitter()
    async with pipeline_to(committer) as pipeline:
        committer.hold()
        gone, stays = pipeline.submit(numbered(1)), pipeline.submit(numbered(2))
        await a_moment()
        gone.cancel()
        committer.go_on()
        assert await stays == outcome(2)
    assert committer.numbers == [[1, 2]]


async def test_a_cancelled_command_is_not_tried_again() -> None:
    committer = FakeCommitter()
    committer.reactions.append(loses)
    async with pipeline_to(committer) as pipeline:
        committer.hold()
        gone, stays = pipeline.submit(numbered(1)), pipeline.submit(numbered(2))
        await a_moment()
        gone.cancel()
        committer.go_on()
        assert await stays == outcome(2)
    assert committer.numbers == [[1, 2], [2]]


async def test_an_expired_command_never_enters_a_batch() -> None:
    committer = FakeCommitter()
    async with pipeline_to(committer) as pipeline:
        now = asyncio.get_running_loop().time()
        with pytest.raises(Overloaded):
            await pipeline.submit(numbered(1), now)
        committer.hold()
        first = pipeline.submit(numbered(2))
        await a_moment()
        late = pipeline.submit(numbered(3), asyncio.get_running_loop().time() + 0.01)
        await asyncio.sleep(0.02)
        committer.go_on()
        assert await first == outcome(2)
        with pytest.raises(Overloaded):
            await late
    assert committer.numbers == [[2]]


async def test_beyond_the_bound_nobody_may_wait() -> None:
    committer = FakeCommitter()
    async with pipeline_to(committer, max_waiting=3) as pipeline:
        committer.hold()
        answers = [pipeline.submit(numbered(0))]
        await a_moment()
        answers += [pipeline.submit(numbered(number)) for number in (1, 2, 3)]
        with pytest.raises(Overloaded):
            pipeline.submit(numbered(4))
        committer.go_on()
        assert await asyncio.gather(*answers) == [outcome(number) for number in range(4)]
        assert await pipeline.submit(numbered(5)) == outcome(5)


@pytest.mark.parametrize(("is_contended", "pauses"), [(False, [1, 2, 3]), (True, [1, 2])])
async def test_what_lost_pauses_before_it_is_tried_again_unless_it_has_a_first_turn(
    monkeypatch: pytest.MonkeyPatch, is_contended: bool, pauses: list[int]
) -> None:
    committer = FakeCommitter()
    seen: list[int] = []

    def pause(attempt: int) -> float:
        seen.append(attempt)
        return 0.0

    def loses_to_another(batch: Sequence[Submission]) -> list[Submission]:
        for submission in batch:
            submission.is_contended = is_contended
        return loses(batch)

    monkeypatch.setattr(commit_pipeline, "backoff", pause)
    committer.reactions.extend([loses_to_another] * 3)
    async with pipeline_to(committer) as pipeline:
        assert await pipeline.submit(numbered(1)) == outcome(1)
    assert seen == pauses


async def test_a_draining_pipeline_answers_what_it_took_and_takes_nothing_more() -> None:
    committer = FakeCommitter()
    committer.reactions.extend([loses, loses])
    async with pipeline_to(committer, lanes=4) as pipeline:
        committer.hold()
        answers = [pipeline.submit(numbered(number, entity(number))) for number in range(9)]
        drained = asyncio.create_task(pipeline.drain())
        await a_moment()
        with pytest.raises(Draining):
            pipeline.submit(numbered(9))
        assert not drained.done()
        committer.go_on()
        await drained
        assert all(answer.done() for answer in answers)
        assert [answer.result() for answer in answers] == [outcome(number) for number in range(9)]
