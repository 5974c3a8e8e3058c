"""What must be true of the past, and of every refusal, whatever happened."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Final, TypeAlias

from tests.consistency.rules.changing import Changed
from tests.consistency.rules.judge import Accepted, Broken, Invalid, Late, Verdict, breaks, judge
from tests.consistency.rules.past import Step, versions_of
from tests.consistency.rules.plain_type import Features, PlainType, PlainUpdate, Stored
from tests.consistency.rules.wire import Refusal
from tests.consistency.rules.writing import Attempt, Entity

HistoricalState: TypeAlias = Mapping[Entity, Sequence[Step]]
Named: TypeAlias = frozenset[tuple[str, str]]

ABOUT_VALUES: Final = ("INVALID_VALUE", "RULE_VIOLATED", "LATE_VALUE")
NOT_NOW: Final = ("CONTENDED", "OVERLOADED")
"""Refusals that say nothing of the update."""


def no_version_breaks_its_revision(past: HistoricalState, changed: Changed) -> Iterator[str]:
    for step in _steps(past):
        definition = _definition(step, changed)
        if definition is None or not step.changed:
            continue
        entity_id, now = step.entity[1], step.commit_time
        found = set(breaks(definition, step.before, step.after, step.changed, entity_id, now))
        if found:
            yield f"{step.entity} at {step.version} breaks {found} of revision {step.revision}"


def no_version_comes_after_its_revision(past: HistoricalState, changed: Changed) -> Iterator[str]:
    """From the moment that an apply has returned, nothing commits under what was before it."""
    for step in _steps(past):
        revisions = changed.revisions[step.entity[0]]
        # What a later revision saw committed, all after it saw too.
        xid = step.xid
        past_it = bisect_left(revisions, True, lo=1, key=lambda each: each.was_committed(xid)) - 1
        # No entity type is written down as 0, whichever revision the deletion was.
        gone = any(each.definition is None for each in revisions[past_it:])
        if not (step.revision >= past_it if step.revision else gone):
            yield f"{step.entity} at {step.version}, of {step.revision}, came after {past_it}"


def every_version_is_what_was_asked_for(
    past: HistoricalState, changed: Changed, attempts: Sequence[Attempt]
) -> Iterator[str]:
    asked = {update.mark: update for attempt in attempts for update in attempt.updates}
    for step in _steps(past):
        update = asked[step.mark]
        verdict = judge(_definition(step, changed), step.before, update, step.commit_time)
        if not isinstance(verdict, Accepted) or repr(_sorted(verdict.after)) != repr(
            _sorted(step.after)
        ):
            yield f"{step.entity} at {step.version} is {step.after}, should be {verdict}: {update}"


def what_was_acknowledged_is_there_once_and_what_was_refused_is_not(
    past: HistoricalState, attempts: Sequence[Attempt]
) -> Iterator[str]:
    there = Counter(step.mark for step in _steps(past))
    for attempt in attempts:
        for update in attempt.updates:
            times = there[update.mark]
            if times != (attempt.refusal is None):
                yield f"{update.mark} is there {times} times after {attempt.refusal}"


def every_refusal_names_every_violation(
    past: HistoricalState, changed: Changed, attempts: Sequence[Attempt]
) -> Iterator[str]:
    for attempt in attempts:
        refusal = attempt.refusal
        if refusal is None or refusal.reason in NOT_NOW:
            continue
        if refusal.reason not in ABOUT_VALUES:
            yield f"refused with {refusal}"
        elif not refusal.all_named:
            yield f"listed not all: {refusal}"
        elif not _is_explained(attempt, refusal, past, changed):
            expected = [_possible(group, attempt, past, changed) for group in _groups(attempt)]
            yield f"refused with {refusal}, expected one of {expected}: {attempt.updates}"


def _is_explained(
    attempt: Attempt, refusal: Refusal, past: HistoricalState, changed: Changed
) -> bool:
    """Whether there was a moment at which the refusal was all that is to be said."""
    named = _by_place(attempt, refusal.named)
    gravest = []
    for group in _groups(attempt):
        fitting = [
            verdicts
            for verdicts in _possible(group, attempt, past, changed)
            if all(
                named.get(place, frozenset()) == _told(verdict, refusal.reason)
                for place, verdict in zip(group, verdicts, strict=True)
            )
        ]
        if not fitting:
            return False
        gravest.append({_reason(verdicts) for verdicts in fitting})
    return any(max(reasons) == _GRAVITY[refusal.reason] for reasons in product(*gravest))


_GRAVITY: Final = {"": 0, "LATE_VALUE": 1, "RULE_VIOLATED": 2, "INVALID_VALUE": 3}


def _reason(verdicts: Sequence[Verdict]) -> int:
    kinds = {Accepted: "", Late: "LATE_VALUE", Broken: "RULE_VIOLATED", Invalid: "INVALID_VALUE"}
    return max(_GRAVITY[kinds[type(verdict)]] for verdict in verdicts)


def _told(verdict: Verdict, reason: str) -> Named:
    """What is to be named of one update, in a refusal of this reason."""
    match verdict:
        case Invalid(fields) if reason == "INVALID_VALUE":
            return frozenset(("FIELD", field) for field in fields)
        case Broken(violations) if reason == "RULE_VIOLATED":
            return violations
        case Late(features) if reason != "INVALID_VALUE":
            return frozenset(("LATE_VALUE", name) for name in features)
        case _:
            return frozenset()


def _by_place(attempt: Attempt, named: Named) -> dict[int, Named]:
    """The violations of each update, without the place that stands before them in a batch."""
    if not attempt.is_batch:
        return {0: named}
    found: dict[int, set[tuple[str, str]]] = {}
    for sort, subject in named:
        place, _, rest = subject.removeprefix("updates[").partition("].")
        found.setdefault(int(place), set()).add((sort, rest))
    return {place: frozenset(each) for place, each in found.items()}


def _groups(attempt: Attempt) -> list[list[int]]:
    """The places of updates of one entity, which follow from one another."""
    groups: dict[Entity, list[int]] = {}
    for place, update in enumerate(attempt.updates):
        groups.setdefault((update.entity_type, update.entity_id), []).append(place)
    return list(groups.values())


def _possible(
    group: Sequence[int], attempt: Attempt, past: HistoricalState, changed: Changed
) -> list[tuple[Verdict, ...]]:
    """The verdicts on updates of one entity, for each state that they may have met."""
    updates = [attempt.updates[place] for place in group]
    entity = updates[0].entity_type, updates[0].entity_id
    floor = attempt.floors[entity]
    versions = versions_of(list(past.get(entity, ())))
    states: list[Features] = [
        step.after
        for number, step in versions.items()
        if number >= floor and step.commit_time <= attempt.returned_at
    ]
    if floor == 0:
        states.append({})
    definitions = changed.counting(entity[0], attempt.sent, attempt.returned)
    now = attempt.returned_at
    return [
        _one_after_the_other(each, state, updates, now) for each in definitions for state in states
    ]


def _one_after_the_other(
    definition: PlainType | None, state: Features, updates: Sequence[PlainUpdate], now: int
) -> tuple[Verdict, ...]:
    verdicts: list[Verdict] = []
    for offset, update in enumerate(updates):
        # A time of its own for each, as commit times rise.
        verdict = judge(definition, state, update, now + offset)
        if isinstance(verdict, Accepted):
            state = verdict.after
        verdicts.append(verdict)
    return tuple(verdicts)


def _definition(step: Step, changed: Changed) -> PlainType | None:
    return changed.revisions[step.entity[0]][step.revision].definition


def _steps(past: HistoricalState) -> Iterator[Step]:
    for steps in past.values():
        yield from steps


def _sorted(features: Features) -> list[tuple[str, Stored]]:
    return sorted(features.items())
