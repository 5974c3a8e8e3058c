"""What is said of the lanes."""

from repository.pipeline.commit_pipeline import CommitPipeline
from repository.pipeline.instrumented_committers import MeasuredCommitter
from repository.writing.chaining import ChainBroken
from tests.unit.repository.fake_committer import (
    FakeCommitter,
    loses,
    numbered,
    outcome,
    raises,
)


async def test_a_command_has_waited_once_however_often_it_is_tried() -> None:
    committer = FakeCommitter()
    committer.reactions.extend([raises(ChainBroken()), loses, raises(ChainBroken())])
    measured = MeasuredCommitter(committer)
    pipeline = CommitPipeline(measured, lanes=1)
    assert await pipeline.submit(numbered(1)) == outcome(1)
    await pipeline.drain()
    assert committer.numbers == [[1]] * 4
    assert sum(measured.waits.counts) == 1
