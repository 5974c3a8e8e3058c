"""Answers that are not what came about."""

import random
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from application import working_copy
from application.evaluation import Evaluation
from codec import state
from domain.aggregate import FeatureAggregate
from domain.change import Change
from domain.outcome import Outcome, UpdateOutcome
from domain.update import Command, Update
from repository.postgres import PostgresRepository
from repository.writing import columns
from tests.consistency.sabotages.breaking import replace_in

_A_SECOND = 1_000_000_000


def make_answers_up() -> None:
    """Tell of another version, of another time, and of no late value."""
    update = PostgresRepository.update

    async def answer(self: PostgresRepository, *arguments: Any) -> UpdateOutcome:
        outcome = await update(self, *arguments)
        time = outcome.update_time + _A_SECOND
        return replace(outcome, version=outcome.version + 1, update_time=time, stale_features=())

    replace_in(PostgresRepository, "update", answer)


def answer_from_memory() -> None:
    """Tell an update that changes nothing of the first version that this server has met."""
    answer = working_copy.update_outcome
    met: dict[UUID, UpdateOutcome] = {}

    def remembered(
        aggregate: FeatureAggregate, change: Change | None, *arguments: Any
    ) -> UpdateOutcome:
        outcome = answer(aggregate, change, *arguments)
        first = met.setdefault(aggregate.uid, outcome)
        return first if change is None else outcome

    replace_in(working_copy, "update_outcome", remembered)


def replay_the_present() -> None:
    """Answer a known request id with the version that is current now."""
    complete = Evaluation._with_states

    def with_states(self: Evaluation, command: Command, outcome: Outcome) -> Outcome:
        if isinstance(command, Update) and isinstance(outcome, UpdateOutcome):
            outcome = replace(outcome, version=self._copies[command.key].aggregate.version)
        return complete(self, command, outcome)

    replace_in(Evaluation, "_with_states", with_states)


def rehearse_in_earnest() -> None:
    """Write what was only to be checked."""

    def rehearsed(self: Evaluation, update: Update) -> UpdateOutcome:
        return self._copies[update.key].update(update, self._now)

    replace_in(Evaluation, "_rehearsed", rehearsed)


def rehearse_from_the_beginning() -> None:
    """Check an update as if there were no aggregate yet."""
    rehearse = Evaluation._rehearsed

    def rehearsed(self: Evaluation, update: Update) -> UpdateOutcome:
        return replace(rehearse(self, update), version=1)

    replace_in(Evaluation, "_rehearsed", rehearsed)


def rehearse_with_an_etag() -> None:
    """Give an etag for a version that was only to be checked."""
    rehearse = Evaluation._rehearsed

    def rehearsed(self: Evaluation, update: Update) -> UpdateOutcome:
        return replace(rehearse(self, update), rehearsed=False)

    replace_in(Evaluation, "_rehearsed", rehearsed)


def lose_a_feature() -> None:
    """Store a state without a feature that the change has."""
    dump = state.dump_aggregate

    def dump_less(aggregate: FeatureAggregate) -> bytes:
        less = aggregate.copy()
        if "vector_0" in less.features:
            del less.features["vector_0"]
        return dump(less)

    replace_in(columns, "dump_aggregate", dump_less)


def turn_the_clock_back() -> None:
    """Give versions commit times of a while ago."""

    def earlier(self: FeatureAggregate, now: int) -> int:
        return now - random.randrange(_A_SECOND // 2)

    replace_in(FeatureAggregate, "_next_commit_time", earlier)
