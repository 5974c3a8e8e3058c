"""The answers to the commands of a batch: worked out first, and given when they are true."""

from collections.abc import Mapping, Sequence
from typing import Generic, NamedTuple, TypeAlias
from uuid import UUID

from application.evaluation import Evaluation
from codec.timestamps import from_datetime
from domain.entity_key import EntityKey
from domain.errors import FeatomError
from domain.outcome import Outcome
from repository.writing.pending_command import InDoubtAttempt, Pending
from repository.writing.row import Row, unite
from repository.writing.snapshot import Snapshot
from repository.writing.transaction import Loss

Answered: TypeAlias = tuple[Pending, Outcome | FeatomError]


class Left(NamedTuple, Generic[Pending]):
    """What an attempt did not decide. Of what shares a key, each part comes before the next."""

    lost: list[Pending]
    later: list[Pending]
    """What was not tried because it must wait for the rest."""
    put_off: list[Pending]
    """What was not tried because it is heavy, or comes behind something that is."""


async def evaluate(
    snapshot: Snapshot, batch: Sequence[Pending]
) -> tuple[list[Answered[Pending]], list[Pending]]:
    """The answers that hold if the unit of their rows is written, and what must wait until then."""
    evaluation = Evaluation(snapshot.rows, snapshot.known, from_datetime(snapshot.now))
    answers = await evaluation.evaluate_all([pending.command for pending in batch])
    if evaluation.together:
        unite(snapshot.rows, evaluation.together)
    answered: list[Answered[Pending]] = []
    later: list[Pending] = []
    for pending, answer in zip(batch, answers, strict=True):
        if answer is None:
            later.append(pending)
        else:
            answered.append((pending, answer))
    return answered, later


def settle(
    rows: Mapping[EntityKey, Row], answers: Sequence[Answered[Pending]], loss: Loss
) -> list[Pending]:
    """Answer what has not lost, and return what has."""
    lost = []
    for pending, answer in answers:
        unit = rows[pending.keys[0]].unit
        if unit in loss.units:
            pending.lost_to_a_change = unit in loss.to_a_change
            lost.append(pending)
        else:
            pending.settle(answer)
    return lost


def doubt(
    snapshot: Snapshot, answers: Sequence[Answered[Pending]], rows: Sequence[Row], batch_id: UUID
) -> None:
    """Note what to answer if it turns out that these rows were written."""
    units = {row.unit for row in rows}
    for pending, answer in answers:
        if snapshot.rows[pending.keys[0]].unit in units:
            attempt = InDoubtAttempt(batch_id, snapshot.now, answer)
            pending.attempts_in_doubt.append(attempt)
