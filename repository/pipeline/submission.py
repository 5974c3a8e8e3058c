"""A command on its way through the commit pipeline."""

import asyncio
from typing import Final

from msgspec import Struct

from domain.entity_key import EntityKey
from domain.errors import CommitUnknown, Contended, FeatomError, Overloaded
from domain.outcome import Outcome
from domain.update import Command, Deletion, UpdateBatch, keys_of
from repository.writing.pending_command import InDoubtAttempt

_MARGIN: Final = 0.15
"""Seconds for an answer to reach its caller."""


class Submission(Struct, eq=False):
    """A command, the caller's future, and what happened to it so far."""

    command: Command
    answer: "asyncio.Future[Outcome]"
    """Cancelled when the caller goes away."""
    deadline: float
    """On the event loop's clock: no attempt begins after it."""
    arrived: float = 0.0
    """On the same clock."""
    attempts: int = 0
    measured: bool = False
    """Whether its waiting time was measured."""
    is_contended: bool = False
    """Whether the next attempt waits for its turn, and needs no pause before."""
    lost_to_a_change: bool = False
    """Whether the last attempt lost because an entity type is being changed."""
    attempts_in_doubt: list[InDoubtAttempt] = []
    refusal: FeatomError | None = None
    """What the database said of a batch that it was in, if it is tried again without the others."""
    keys: tuple[EntityKey, ...] = ()
    """What the command is about."""
    size: int = 1
    """How many updates the command has."""
    alone: bool = False
    """Whether nothing else shall be in its batch, as it may take too long: a history has no limit,
    and over the statement time-out is all that was sent with it."""
    put_off: bool = False
    """Whether the last attempt left it untried, as it is heavy."""
    weight: int = 0
    """The bytes of its aggregates, where they are known to be large (the module weighing)."""
    is_heavy: bool = False
    """Whether it may take long, and what does not must have a lane beside it."""

    def __post_init__(self) -> None:
        command = self.command
        self.keys = keys_of(command)
        if isinstance(command, UpdateBatch):
            self.size = len(command.updates)
        elif isinstance(command, Deletion):
            self.alone = self.is_heavy = command.erase_history

    def weigh(self, weight: int) -> None:
        """Note how many bytes its large aggregates have; 0: there are none."""
        self.weight = weight
        self.is_heavy = self.alone or weight > 0

    def is_live(self, now: float) -> bool:
        """Whether the caller still waits; one that is too late gets its answer here.

        `now` is on the event loop's clock.
        """
        if self.answer.done():
            return False
        if self.deadline > now:
            return True
        self.settle(out_of_time(self))
        return False

    def settle(self, answer: Outcome | FeatomError) -> None:
        """Answer the caller, if it is still there."""
        if self.answer.done():
            return
        if isinstance(answer, FeatomError):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


def answer_if_late(now: float, submission: Submission) -> None:
    """Tell a caller what is known just before it stops waiting: after that it hears nothing."""
    left = submission.deadline - now
    # Thousands may wait, and most have long: for those nothing else is computed.
    if left <= _MARGIN and left <= (submission.deadline - submission.arrived) / 10:
        submission.settle(out_of_time(submission))


def out_of_time(submission: Submission) -> FeatomError:
    """What a command is answered whose caller waits no longer."""
    if submission.attempts_in_doubt:
        return CommitUnknown()
    if submission.refusal is not None:
        return submission.refusal
    if submission.attempts:
        return Contended()
    return Overloaded("The time of this request was up before its turn came.")
