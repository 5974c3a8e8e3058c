"""What was promised of the content: each version is the one before it and one update."""

from collections.abc import Iterator

from featom.v1.aggregate_pb2 import FeatureAggregate
from tests.consistency.evidence import Evidence
from tests.consistency.features import Facts, digest, facts_of
from tests.consistency.history import Entry
from tests.consistency.key_history import commit_time_of, next_facts
from tests.consistency.model import Effect, effect
from tests.consistency.operations import TOTAL, Kind, Part
from tests.consistency.outcomes import Operation


def each_change_is_what_was_asked_for(evidence: Evidence) -> Iterator[str]:
    """By the model of this folder, applied to the fold of all changes before it."""
    for line in evidence.lines.values():
        facts: Facts = {}
        for entry, maker in zip(line.entries, line.makers, strict=True):
            change = entry.change
            if maker is not None and maker.request.kind is Kind.UPDATE:
                expected = _expected(maker, line.key, entry, facts)
                found = Effect(
                    facts_of(change.features),
                    frozenset(change.removed),
                    facts_of(change.late_features),
                )
                if found != expected:
                    name = maker.request.operation
                    differing = _difference(expected, found)
                    yield f"{name} on {line.key}, version {change.version}: {differing}"
            facts = next_facts(facts, entry)


def stored_states_are_folds(evidence: Evidence) -> Iterator[str]:
    """What is stored whole, now and at keyframes, is the fold of the changes before it."""
    for line in evidence.lines.values():
        facts: Facts = {}
        for entry in line.entries:
            facts = next_facts(facts, entry)
            if entry.keyframe is not None and not _is(entry.keyframe, entry, facts):
                yield f"{line.key}, version {entry.change.version}, has another keyframe"
        stored = evidence.history.aggregates.get(line.key)
        last = next((entry for entry in reversed(line.entries) if entry.advances), None)
        if stored is None:
            if last is not None and not last.change.deleted:
                yield f"{line.key} is not stored"
        elif last is None or not _is(stored, last, facts):
            yield f"{line.key} is stored as version {stored.version}, and is not the fold"


def counters_are_sums(evidence: Evidence) -> Iterator[str]:
    """The stored total is the sum of the increments that are in the history, each taken once."""
    for line in evidence.lines.values():
        stored = evidence.history.aggregates.get(line.key)
        if stored is None:
            continue
        makers = {
            maker.request.operation: maker
            for entry, maker in zip(line.entries, line.makers, strict=True)
            if maker is not None and entry.change.uid == stored.uid
        }
        total = sum(_increment(maker, line.key) for maker in makers.values())
        found = stored.features[TOTAL].value.int64_value if TOTAL in stored.features else 0
        if total != found:
            yield f"{line.key} has {found}, its increments are {total}"


def _expected(maker: Operation, key: str, entry: Entry, facts: Facts) -> Effect:
    part = _part(maker, key)
    steps = part.steps if part else ()
    return effect(steps, facts, entry.change.version - entry.advances, commit_time_of(entry))


def _part(maker: Operation, key: str) -> Part | None:
    return next((part for part in maker.request.parts if part.key == key), None)


def _increment(maker: Operation, key: str) -> int:
    part = _part(maker, key)
    steps = part.steps if part else ()
    return sum(
        step.value for step in steps if step.feature == TOTAL and isinstance(step.value, int)
    )


def _is(stored: FeatureAggregate, entry: Entry, facts: Facts) -> bool:
    change = entry.change
    return (
        stored.uid == change.uid
        and stored.version == change.version
        and stored.update_time == change.commit_time
        and digest(facts_of(stored.features)) == digest(facts)
    )


def _difference(expected: Effect, found: Effect) -> str:
    for name, wanted, got in zip(Effect._fields, expected, found, strict=True):
        if wanted != got:
            return f"{name} {got!r} instead of {wanted!r}"[:400]
    return "no difference"
