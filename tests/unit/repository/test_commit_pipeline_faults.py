"""Faults of our own in the pipeline: they leave nobody waiting, and the lane goes on."""

import asyncio

import pytest

from domain.errors import CommitUnknown
from repository.pipeline.commit_pipeline import CommitPipeline
from runtime.supervision import FAILURES
from tests.unit.repository.fake_committer import (
    FakeCommitter,
    loses,
    numbered,
    outcome,
    pipeline_to,
)
from tests.unit.repository.moments import a_moment


@pytest.mark.parametrize("step", ["_end", "_begin_behind", "_try_again"])
async def test_a_fault_in_a_lane_leaves_nobody_waiting_and_the_lane_goes_on(
    step: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(self: CommitPipeline, *given: object) -> None:
        monkeypatch.undo()
        raise ValueError("a fault of ours")

    committer = FakeCommitter()
    committer.reactions.append(loses)
    before = FAILURES.by_task["lane"]
    async with pipeline_to(committer) as pipeline:
        monkeypatch.setattr(CommitPipeline, step, fails)
        answers = [pipeline.submit(numbered(number)) for number in range(5)]
        async with asyncio.timeout(60):
            found = await asyncio.gather(*answers, return_exceptions=True)
        assert {type(answer) for answer in found} == {CommitUnknown}
        # The key is free again, and so is the lane.
        async with asyncio.timeout(60):
            assert await pipeline.submit(numbered(7)) == outcome(7)
    assert not pipeline._under_way
    assert FAILURES.by_task["lane"] == before + 1
    assert "ValueError: a fault of ours" in caplog.text


async def test_a_fault_behind_a_batch_under_way_waits_for_it_before_its_keys_are_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FakeCommitter asserts that no key is in two batches."""

    def fails(self: CommitPipeline, *given: object) -> None:
        monkeypatch.undo()
        raise ValueError("a fault of ours")

    committer = FakeCommitter()
    async with pipeline_to(committer, lanes=2) as pipeline:
        monkeypatch.setattr(CommitPipeline, "_begin_behind", fails)
        committer.hold()
        first = pipeline.submit(numbered(1))
        await a_moment()
        second = pipeline.submit(numbered(2))
        await a_moment()
        assert committer.numbers == [[1]]
        committer.go_on()
        assert await first == outcome(1)
        assert await second == outcome(2)


async def test_a_fault_after_a_batch_that_came_in_vain_behind_another_leaves_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(self: CommitPipeline, *given: object) -> None:
        monkeypatch.undo()
        raise ValueError("a fault of ours")

    committer = FakeCommitter()
    committer.has_left_rows = True
    committer.reactions.append(loses)
    async with pipeline_to(committer, lanes=2) as pipeline:
        monkeypatch.setattr(CommitPipeline, "_try_again", fails)
        committer.hold()
        answers = [pipeline.submit(numbered(number)) for number in range(600)]
        await a_moment()
        assert len(pipeline._under_way) == 2
        committer.go_on()
        async with asyncio.timeout(60):
            found = await asyncio.gather(*answers, return_exceptions=True)
    unknown = sum(isinstance(each, CommitUnknown) for each in found)
    assert unknown >= len(committer.batches[0]) + 1
