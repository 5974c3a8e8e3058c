"""Every command of a batch, in order, on the aggregates that were read.

Pure: the outcome of a command depends on the aggregates, the known request ids and the time, and
nothing is written here. So a batch that loses its race is evaluated again from what is read anew.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias
from uuid import UUID

from msgspec.structs import replace

from application.working_copy import (
    RecordedRequest,
    WorkingCopy,
    update_outcome,
    with_state,
)
from codec.outcome import (
    dump_batch_outcome,
    dump_outcome,
    load_batch_outcome,
    load_outcome,
)
from domain.batch_errors import batch_error
from domain.entity_key import EntityKey
from domain.errors import FeatomError, LimitExceeded, RequestIdReused
from domain.outcome import BatchOutcome, Outcome, UpdateOutcome
from domain.timestamp import Timestamp
from domain.update import Command, Deletion, Update, UpdateBatch, keys_of
from runtime.time_slice import TimeSlice

RequestKey: TypeAlias = tuple[EntityKey, UUID]
Answer: TypeAlias = Outcome | FeatomError | None
"""None: the command must wait until the ones before it are committed."""

MADE: Final = 16_777_216
"""Bytes that a batch makes beside its aggregates, to be written and answered, until the rest must
wait."""


class KnownRequest(NamedTuple):
    """A request id that was answered before."""

    fingerprint: bytes
    outcome: bytes | None
    """None where it is known under an entity that was not its first, if nothing is to be said."""


class Evaluation:
    """Working copies, and what the commands evaluated so far have made of them."""

    def __init__(
        self,
        copies: Mapping[EntityKey, WorkingCopy],
        known: dict[RequestKey, KnownRequest],
        now: Timestamp,
    ) -> None:
        """`known` are the request ids that were found."""
        self._copies = copies
        self._known = known
        self._now = now
        self._made = 0
        """The bytes that were made so far to be written or answered, beside the aggregates."""
        self.together: list[Sequence[EntityKey]] = []
        """What must be committed together or not at all."""

    async def evaluate_all(self, commands: Iterable[Command]) -> list[Answer]:
        """Evaluate each command as `evaluate` does, unless it must wait. Others get their turn in
        the event loop meanwhile.
        """
        answers: list[Answer] = []
        held: set[EntityKey] = set()
        time_slice = TimeSlice()
        for command in commands:
            answer: Answer = None
            # What shares a key with one that waits must not overtake it.
            if self._made > MADE or (held and not held.isdisjoint(keys_of(command))):
                pass
            elif isinstance(command, UpdateBatch):
                answer = await time_slice.walk(self.evaluate_in_steps(command))
            else:
                answer = self.evaluate(command)
            if answer is None:
                held.update(keys_of(command))
            if time_slice.is_used_up:
                await time_slice.rest()
            answers.append(answer)
        return answers

    def evaluate(self, command: Command) -> Answer:
        """Apply one command to the state that the previous one left, whole or not at all.

        The answer holds only if what the command is about is committed.
        """
        if isinstance(command, UpdateBatch):
            *_, answer = self.evaluate_in_steps(command)
            return answer
        try:
            return self._replayed(command) or self._applied(command, self._copies[command.key])
        except FeatomError as error:
            return error

    def evaluate_in_steps(self, batch: UpdateBatch) -> Iterator[Answer]:
        """As `evaluate`, an update at a time, as all of them may take seconds: None after each, and
        in the end the answer.
        """
        keys = keys_of(batch)
        self.together.append(keys)
        copies = [self._copies[key] for key in keys]
        answer: Outcome | FeatomError
        try:
            answer = self._replayed(batch) or (yield from self._applied_together(batch, copies))
        except FeatomError as error:
            answer = error
        yield answer

    def known_outcome(self, command: Command) -> Answer:
        """The answer to a request id that is known, without aggregates: none need to be read."""
        if command.request_id is None:
            return None
        try:
            outcome = self._first_outcome(command, command.request_id)
        except FeatomError as error:
            return error
        if isinstance(outcome, BatchOutcome):
            each = tuple(replace(one, replayed=True) for one in outcome.outcomes)
            return replace(outcome, outcomes=each)
        return outcome

    def _replayed(self, command: Command) -> Outcome | None:
        """The first outcome of a request id that is known. Raises RequestIdReused."""
        if command.request_id is None:
            return None
        outcome = self._first_outcome(command, command.request_id)
        return None if outcome is None else self._with_states(command, outcome)

    def _first_outcome(self, command: Command, request_id: UUID) -> Outcome | None:
        found = {
            key: known
            for key in keys_of(command)
            if (known := self._known.get((key, request_id))) is not None
        }
        if not found:
            return None
        if any(known.fingerprint != command.fingerprint for known in found.values()):
            raise RequestIdReused
        stored = {key: known.outcome for key, known in found.items()}
        return replace(_loaded(command, stored), replayed=True)

    def _with_states(self, command: Command, outcome: Outcome) -> Outcome:
        """A replay is answered with the aggregates as they are now."""
        if isinstance(outcome, UpdateOutcome) and isinstance(command, Update):
            aggregate = self._copies[command.key].aggregate
            return with_state(outcome, aggregate, command, self._now)
        if isinstance(outcome, BatchOutcome) and isinstance(command, UpdateBatch):
            return replace(outcome, outcomes=self._with_states_that_fit(command, outcome))
        return outcome

    def _with_states_that_fit(
        self, batch: UpdateBatch, first: BatchOutcome
    ) -> tuple[UpdateOutcome, ...]:
        """What was applied must not be refused, so aggregates that have grown too large since are
        left out.
        """
        outcomes: list[UpdateOutcome] = []
        room = self._answer_bytes(batch)
        for update, each in zip(batch.updates, first.outcomes, strict=True):
            outcome = replace(each, replayed=True)
            if room > 0:
                aggregate = self._copies[update.key].aggregate
                complete = with_state(outcome, aggregate, update, self._now)
                room -= _state_size(complete)
                outcome = complete if room >= 0 else outcome
            outcomes.append(outcome)
        return tuple(outcomes)

    def _applied(self, command: Update | Deletion, copy: WorkingCopy) -> Outcome | None:
        recorded = copy.recorded
        if isinstance(command, Deletion):
            outcome: Outcome | None = copy.delete(command, self._now)
        elif command.validate_only:
            rehearsed = self._rehearsed(command)
            self._made += _state_size(rehearsed)
            return rehearsed
        else:
            outcome = updated = copy.update(command, self._now)
            if updated.state is not None:
                self._made += len(updated.state)
        self._made += copy.recorded - recorded
        if outcome is not None:
            self._remember(command, (copy,), outcome)
        return outcome

    def _rehearsed(self, update: Update) -> UpdateOutcome:
        rehearsal = self._copies[update.key].aggregate.copy()
        change = rehearsal.apply(update, self._now)
        outcome = update_outcome(rehearsal, change, update, self._now)
        if change is None or not change.advances:
            return outcome
        return replace(outcome, rehearsed=True, state_etag=None)

    def _applied_together(
        self, batch: UpdateBatch, copies: Sequence[WorkingCopy]
    ) -> Generator[None, None, BatchOutcome]:
        saved = [copy.savepoint() for copy in copies]
        recorded = sum(copy.recorded for copy in copies)
        outcomes: list[UpdateOutcome] = []
        errors: dict[int, FeatomError] = {}
        limit = room = self._answer_bytes(batch)
        for index, update in enumerate(batch.updates):
            asked = update if room >= 0 else replace(update, return_aggregate=False)
            try:
                outcomes.append(self._copies[update.key].update(asked, self._now))
                room -= _state_size(outcomes[-1])
            except FeatomError as error:
                errors[index] = error
            yield
        if errors or room < 0:
            for copy, savepoint in zip(copies, saved, strict=True):
                copy.restore(savepoint)
            if errors:
                raise batch_error(errors, [update.key for update in batch.updates])
            raise LimitExceeded("bytes of aggregates in an answer", limit)
        self._made += limit - room + sum(copy.recorded for copy in copies) - recorded
        outcome = BatchOutcome(tuple(outcomes))
        self._remember(batch, copies, outcome)
        return outcome

    def _answer_bytes(self, batch: UpdateBatch) -> int:
        return self._copies[batch.updates[0].key].limits.answer_bytes

    def _remember(self, command: Command, copies: Iterable[WorkingCopy], outcome: Outcome) -> None:
        if command.request_id is None:
            return
        stored = _stored(command, outcome)
        for copy in copies:
            encoded = stored[copy.key]
            request = RecordedRequest(command.request_id, self._now, command.fingerprint, encoded)
            copy.requests.append(request)
            self._known[copy.key, command.request_id] = KnownRequest(command.fingerprint, encoded)


def _stored(command: Command, outcome: Outcome) -> Mapping[EntityKey, bytes | None]:
    """What is remembered of an outcome under each key of its command."""
    if isinstance(command, UpdateBatch):
        assert isinstance(outcome, BatchOutcome)
        return dump_batch_outcome(command, outcome)
    return {command.key: dump_outcome(outcome)}


def _loaded(command: Command, stored: Mapping[EntityKey, bytes | None]) -> Outcome:
    """The outcome that is remembered. Raises RequestIdReused if that is of another command."""
    if isinstance(command, UpdateBatch):
        return load_batch_outcome(command, stored)
    encoded = stored[command.key]
    if encoded is None:
        raise RequestIdReused
    return load_outcome(command, encoded)


def _state_size(outcome: UpdateOutcome) -> int:
    return 0 if outcome.state is None else len(outcome.state)
