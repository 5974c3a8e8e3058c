"""A database that does as it is told, and remembers what it was asked."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import uuid4

from domain.entity_key import EntityKey
from domain.outcome import UpdateOutcome
from domain.update import Command, Update, keys_of
from repository.connections.pool import AnswerLost
from repository.pipeline.commit_pipeline import CommitPipeline
from repository.pipeline.submission import Submission
from repository.writing.chaining import ChainLink
from repository.writing.pending_command import InDoubtAttempt
from tests.kit.samples import UID, add, entity, update

Reaction: TypeAlias = Callable[[Sequence[Submission]], list[Submission]]


def outcome(number: int) -> UpdateOutcome:
    return UpdateOutcome(UID, 1, number, 0, ())


def answers(batch: Sequence[Submission]) -> list[Submission]:
    """A reaction: all of them are committed."""
    for submission in batch:
        submission.settle(outcome(0))
    return []


def numbered(number: int, key: EntityKey | None = None) -> Update:
    """An update that says its number."""
    return update(add("f", number), key=key or entity("1"))


def number_of(command: Command) -> int:
    assert isinstance(command, Update)
    operation = command.updates[0].operation
    assert operation is not None
    assert operation.value is not None
    return int(operation.value.content)


def commits(batch: Sequence[Submission]) -> list[Submission]:
    """Answer each command with its number as the version."""
    for submission in batch:
        submission.settle(outcome(number_of(submission.command)))
    return []


def loses(batch: Sequence[Submission]) -> list[Submission]:
    """Lose every race."""
    return list(batch)


def raises(error: Exception) -> Reaction:
    def react(batch: Sequence[Submission]) -> list[Submission]:
        raise error

    return react


def loses_the_answer(batch: Sequence[Submission]) -> list[Submission]:
    """Break off during the commit, as WriteProtocol does."""
    batch_id = uuid4()
    for submission in batch:
        answer = outcome(number_of(submission.command))
        submission.attempts_in_doubt.append(InDoubtAttempt(batch_id, datetime.now(UTC), answer))
    raise AnswerLost("the connection broke")


def finds_what_was_committed(batch: Sequence[Submission]) -> list[Submission]:
    """Look up every doubt, and find it committed."""
    for submission in batch:
        submission.settle(submission.attempts_in_doubt[0].answer)
    return []


class FakeCommitter:
    """Commits everything, unless `reactions` say otherwise for the next batches."""

    def __init__(self) -> None:
        self.batches: list[list[Command]] = []
        self.reactions: deque[Reaction] = deque()
        self.always: Reaction = commits
        self.under_way: list[set[EntityKey]] = []
        self.most_under_way = 0
        self.has_left_rows = False
        """Whether a batch may begin behind another."""
        self.behind: list[list[Command]] = []
        """Those batches that did, and went on when that was committed."""
        self.contention: Callable[[], int] = lambda: 0
        """How many turns of the event loop a batch takes."""
        self._handed_over: dict[ChainLink | None, set[EntityKey]] = {}
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        """Let batches begin and not end."""
        self._open.clear()

    def go_on(self) -> None:
        self._open.set()

    @property
    def numbers(self) -> list[list[int]]:
        """The numbers of the commands of each batch."""
        return [[number_of(command) for command in batch] for batch in self.batches]

    async def attempt(
        self,
        submissions: Sequence[Submission],
        ahead: ChainLink | None = None,
        behind: ChainLink | None = None,
    ) -> list[Submission]:
        keys = {key for submission in submissions for key in keys_of(submission.command)}
        others = [each for each in self.under_way if each is not self._handed_over.get(ahead)]
        assert not any(keys & each for each in others), "a key is in two batches"
        self.under_way.append(keys)
        self._handed_over[behind] = keys
        self.most_under_way = max(self.most_under_way, len(self.under_way))
        commands = [submission.command for submission in submissions]
        self.batches.append(commands)
        try:
            await asyncio.sleep(0)
            if ahead is not None:
                await ahead.follow()
                self.behind.append(commands)
            if behind is not None and self.has_left_rows:
                behind.offer({})
            await self._open.wait()
            for _ in range(self.contention()):
                await asyncio.sleep(0)
            react = self.reactions.popleft() if self.reactions else self.always
            undecided = react(submissions)
            if behind is not None and self.has_left_rows and not undecided:
                behind.committed(1)
            return undecided
        finally:
            self.under_way.remove(keys)


@asynccontextmanager
async def pipeline_to(committer: FakeCommitter, **options: Any) -> AsyncIterator[CommitPipeline]:
    """A pipeline of one lane, unless `options` say otherwise."""
    pipeline = CommitPipeline(committer, **({"lanes": 1} | options))
    try:
        yield pipeline
    finally:
        committer.go_on()
        await pipeline.drain()
