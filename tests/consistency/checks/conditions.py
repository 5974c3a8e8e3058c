"""What was promised of etags."""

from collections import defaultdict
from collections.abc import Iterator

from tests.consistency.evidence import Evidence, Line, Operation
from tests.consistency.recorder import NEVER

ETAG_MISMATCH = "ETAG_MISMATCH"


def an_etag_names_one_version(evidence: Evidence) -> Iterator[str]:
    for etag, states in _named(evidence).items():
        if len(states) > 1:
            listed = sorted((key, state) for key, state in states)
            yield f"{etag} names {len(listed)} states: {listed[:5]}"


def conditions_held(evidence: Evidence) -> Iterator[str]:
    """An update with an etag comes right after the version that its client had seen."""
    named = _named(evidence)
    for operation, part, places in evidence.parts():
        if not part.etag:
            continue
        for place in places:
            before = place.state - place.line.entries[place.entry].advances
            if (part.key, before) not in named[part.etag]:
                name = operation.request.operation
                yield f"{name} on {part.key} made state {place.state} from {named[part.etag]}"


def refusals_had_a_reason(evidence: Evidence) -> Iterator[str]:
    """An etag is refused only when another update was at least on its way."""
    named = _named(evidence)
    for operation, part, places in evidence.parts():
        states = [state for key, state in named.get(part.etag, ()) if key == part.key]
        if not part.etag or places or not states or len(operation.request.parts) > 1:
            continue
        refused = _refused(operation)
        line = evidence.lines[part.key]
        if refused < NEVER and not _was_followed(line, max(states), refused):
            yield f"{operation.request.operation} on {part.key} was refused, its etag was current"


def _named(evidence: Evidence) -> defaultdict[str, set[tuple[str, int]]]:
    """By etag, every state that some answer said it was of."""
    named: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
    for places in evidence.places.values():
        for place in places:
            maker = place.line.makers[place.entry]
            assert maker is not None
            for attempt in maker.attempts:
                for seen in attempt.answer.seen:
                    if seen.etag and seen.key == place.line.key:
                        named[seen.etag].add((seen.key, place.state))
    for attempt in evidence.reads:
        for seen in attempt.answer.seen:
            state = evidence.lines[seen.key].state_of(seen)
            if seen.etag and state is not None:
                named[seen.etag].add((seen.key, state))
    return named


def _refused(operation: Operation) -> int:
    """When the last attempt came back that found the etag not current."""
    return max(
        (
            attempt.returned
            for attempt in operation.attempts
            if attempt.answer.reason == ETAG_MISMATCH
        ),
        default=NEVER,
    )


def _was_followed(line: Line, state: int, before: int) -> bool:
    """Whether the update after `state` was sent before a moment."""
    if state + 1 >= len(line.states):
        return False
    maker = line.states[state + 1].maker
    return maker is None or maker.invoked < before
