"""Committing a batch whatever happens: nobody is told a wrong thing, and nobody is forgotten."""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from domain.errors import (
    AggregateNotFound,
    CommitUnknown,
    Contended,
    Corrupted,
    DatabaseUnavailable,
    FeatomError,
)
from domain.outcome import Outcome
from domain.update import keys_of
from repository.pipeline.commit_pipeline import CommitPipeline
from repository.pipeline.committing import commit
from repository.pipeline.submission import Submission
from repository.writing.chaining import ChainLink
from repository.writing.in_doubt import StillInDoubt
from repository.writing.pending_command import InDoubtAttempt
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

Answer = Outcome | BaseException


async def answers_to(
    pipeline: CommitPipeline, count: int, *, keys: int = 1, patience: float = 5.0
) -> list[Answer]:
    deadline = asyncio.get_running_loop().time() + patience
    return await asyncio.gather(
        *(
            pipeline.submit(numbered(number, entity(number % keys)), deadline)
            for number in range(count)
        ),
        return_exceptions=True,
    )


async def test_what_lost_its_race_is_tried_again() -> None:
    committer = FakeCommitter()
    committer.reactions.extend([loses, loses, loses])
    async with pipeline_to(committer) as pipeline:
        assert await answers_to(pipeline, 2) == [outcome(0), outcome(1)]
    assert committer.numbers == [[0, 1]] * 4


async def test_what_loses_until_its_time_is_up_is_contended() -> None:
    committer = FakeCommitter()
    committer.always = loses
    async with pipeline_to(committer) as pipeline:
        (answer,) = await answers_to(pipeline, 1, patience=0.05)
    assert isinstance(answer, Contended)


async def test_of_a_batch_that_keeps_losing_only_the_key_to_blame_goes_on_losing() -> None:
    committer = FakeCommitter()
    hot = entity(3)

    def loses_with_the_hot_key(batch: Sequence[Submission]) -> list[Submission]:
        hit = any(hot in keys_of(submission.command) for submission in batch)
        return loses(batch) if hit else commits(batch)

    committer.always = loses_with_the_hot_key
    async with pipeline_to(committer) as pipeline:
        answers = await answers_to(pipeline, 8, keys=8, patience=0.3)
    assert isinstance(answers.pop(3), Contended)
    assert answers == [outcome(number) for number in (0, 1, 2, 4, 5, 6, 7)]


async def test_a_batch_of_which_some_was_put_off_is_not_tried_in_halves() -> None:
    """What was put off was no attempt, and would be counted as none more than once."""
    committer, loop = FakeCommitter(), asyncio.get_running_loop()
    batch = [
        Submission(numbered(n, entity(n)), loop.create_future(), loop.time() + 9, attempts=5)
        for n in range(2)
    ]

    def puts_off(batch: Sequence[Submission]) -> list[Submission]:
        batch[-1].put_off = True
        batch[-1].attempts -= 1
        return loses(batch)

    committer.always = puts_off
    assert await commit(committer, batch) == batch
    assert committer.numbers == [[0, 1]]
    assert [each.attempts for each in batch] == [5, 4]


@pytest.mark.parametrize("bad", [0, 3, 7])
async def test_a_command_that_cannot_be_committed_fails_alone(
    bad: int, caplog: pytest.LogCaptureFixture
) -> None:
    committer = FakeCommitter()
    error = ValueError("the database cannot take this")

    def refuses_the_bad_one(batch: Sequence[Submission]) -> list[Submission]:
        if bad in [number_of(submission.command) for submission in batch]:
            raise error
        return commits(batch)

    committer.always = refuses_the_bad_one
    async with pipeline_to(committer) as pipeline:
        answers = await answers_to(pipeline, 8, keys=4)
    failed = answers.pop(bad)
    assert isinstance(failed, Corrupted)
    assert answers == [outcome(number) for number in range(8) if number != bad]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert f"c-{bad % 4}" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error


async def test_an_error_of_the_domain_is_told_as_it_is() -> None:
    committer = FakeCommitter()
    committer.always = raises(AggregateNotFound())
    async with pipeline_to(committer) as pipeline:
        (answer,) = await answers_to(pipeline, 1)
    assert isinstance(answer, AggregateNotFound)


async def test_isolation_does_not_let_commands_of_one_key_overtake_each_other() -> None:
    committer = FakeCommitter()
    committed: list[int] = []
    lost_once: set[int] = set()

    def fails_whole_and_loses_the_first_once(batch: Sequence[Submission]) -> list[Submission]:
        if len(batch) > 2:
            raise ValueError("this cannot be taken together")
        undecided: list[Submission] = []
        for submission in batch:
            number = number_of(submission.command)
            if undecided or (number == 0 and number not in lost_once):
                lost_once.add(number)
                undecided.append(submission)
            else:
                committed.append(number)
                submission.settle(outcome(number))
        return undecided

    committer.always = fails_whole_and_loses_the_first_once
    async with pipeline_to(committer) as pipeline:
        assert await answers_to(pipeline, 4) == [outcome(number) for number in range(4)]
    assert committed == [0, 1, 2, 3]


async def test_what_nobody_waits_for_any_more_is_not_tried_in_a_later_half() -> None:
    committer = FakeCommitter()
    submitted: list[asyncio.Future[Outcome]] = []

    def commits_while_one_goes_and_one_is_late(batch: Sequence[Submission]) -> list[Submission]:
        submitted[2].cancel()
        time.sleep(0.03)  # the time of the event loop goes on, and nothing else
        return commits(batch)

    committer.reactions.append(raises(ValueError("this cannot be taken together")))
    committer.reactions.append(commits_while_one_goes_and_one_is_late)
    async with pipeline_to(committer) as pipeline:
        now = asyncio.get_running_loop().time()
        for number in range(5):
            deadline = now + (0.03 if number == 3 else 5)
            submitted.append(pipeline.submit(numbered(number, entity(number)), deadline))
        await asyncio.wait(submitted)
        assert isinstance(submitted[3].exception(), Contended)
        assert submitted[4].result() == outcome(4)
    assert committer.numbers == [[0, 1, 2, 3, 4], [0, 1], [4]]


async def test_without_a_database_nobody_waits() -> None:
    committer = FakeCommitter()
    committer.reactions.append(raises(DatabaseUnavailable()))
    async with pipeline_to(committer) as pipeline:
        answers = await answers_to(pipeline, 3)
        assert all(isinstance(answer, DatabaseUnavailable) for answer in answers)
        assert await answers_to(pipeline, 1) == [outcome(0)]


@pytest.mark.parametrize("is_behind", [False, True])
async def test_without_what_is_in_doubt_the_others_go_on_but_none_behind_another_batch(
    is_behind: bool,
) -> None:
    """There they might overtake what comes back from the one ahead."""
    committer, loop = FakeCommitter(), asyncio.get_running_loop()
    committer.reactions.append(raises(StillInDoubt(frozenset({entity("doubted")}))))
    waits = InDoubtAttempt(uuid4(), datetime.now(UTC), outcome(0))
    batch = [
        Submission(
            numbered(n, entity(name)),
            loop.create_future(),
            loop.time() + 9,
            attempts_in_doubt=attempts_in_doubt,
        )
        for n, (name, attempts_in_doubt) in enumerate(
            [("free", []), ("doubted", [waits]), ("doubted", []), ("free", [])]
        )
    ]
    ahead = ChainLink()
    ahead.committed(1)
    undecided = await commit(committer, batch, ahead if is_behind else None)
    assert isinstance(batch[2].answer.exception(), DatabaseUnavailable)
    if is_behind:
        assert undecided == [batch[0], batch[1], batch[3]]
    else:
        assert undecided == [batch[1]]
        assert committer.numbers == [[0, 1, 2, 3], [0, 3]]


async def test_a_lost_answer_is_looked_up_and_is_the_first_one() -> None:
    committer = FakeCommitter()
    committer.reactions.extend([loses_the_answer, finds_what_was_committed])
    async with pipeline_to(committer) as pipeline:
        assert await answers_to(pipeline, 2) == [outcome(0), outcome(1)]
    assert committer.numbers == [[0, 1], [0, 1]]


async def test_a_lost_answer_is_looked_up_when_the_database_is_back() -> None:
    committer = FakeCommitter()
    committer.reactions.extend([loses_the_answer, raises(DatabaseUnavailable())])
    committer.reactions.append(finds_what_was_committed)
    async with pipeline_to(committer) as pipeline:
        assert await answers_to(pipeline, 1) == [outcome(0)]


async def test_without_a_database_only_those_in_doubt_wait_for_it() -> None:
    committer = FakeCommitter()
    committer.reactions.extend([loses_the_answer, raises(DatabaseUnavailable())])
    committer.reactions.append(finds_what_was_committed)
    async with pipeline_to(committer) as pipeline:
        committer.hold()
        in_doubt = pipeline.submit(numbered(1))
        await a_moment()
        new = pipeline.submit(numbered(2))
        committer.go_on()
        with pytest.raises(DatabaseUnavailable):
            await new
        assert await in_doubt == outcome(1)


@pytest.mark.parametrize("then", [DatabaseUnavailable(), None], ids=["away", "losing"])
async def test_a_lost_answer_that_is_not_found_in_time_is_unknown(
    then: FeatomError | None,
) -> None:
    committer = FakeCommitter()
    committer.reactions.append(loses_the_answer)
    committer.always = loses if then is None else raises(then)
    async with pipeline_to(committer) as pipeline:
        (answer,) = await answers_to(pipeline, 1, patience=0.05)
    assert isinstance(answer, CommitUnknown)
