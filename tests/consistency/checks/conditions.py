"""What was promised of etags."""

from collections.abc import Iterator

from tests.consistency.evidence import Evidence
from tests.consistency.key_history import Line
from tests.consistency.operations import Verdict
from tests.consistency.outcomes import Operation
from tests.consistency.recorder import NEVER

ETAG_MISMATCH = "ETAG_MISMATCH"


def an_etag_names_one_version(evidence: Evidence) -> Iterator[str]:
    for etag, states in evidence.named.items():
        if len(states) > 1:
            listed = sorted((key, state) for key, state in states)
            yield f"{etag} names {len(listed)} states: {listed[:5]}"


def conditions_held(evidence: Evidence) -> Iterator[str]:
    """An update with an etag comes right after the version that its client had seen."""
    for operation, part, places in evidence.parts():
        if not part.etag:
            continue
        named = evidence.states_named(part.etag, part.key)
        for place in places:
            if place.before not in named:
                name = operation.request.operation
                yield f"{name} on {part.key} made state {place.state} from {named}"


def what_was_left_as_it_was_had_the_etag(evidence: Evidence) -> Iterator[str]:
    """An update that has an etag and changes nothing is answered with that etag."""
    for operation, part, _ in evidence.parts():
        told = operation.told(part.key)
        if part.etag and not part.leaves_a_mark and told and told.etag != part.etag:
            yield f"{operation.request.operation} on {part.key} had another etag than it was told"


def refusals_had_a_reason(evidence: Evidence) -> Iterator[str]:
    """An etag is refused only when another update was at least on its way."""
    for operation, part, places in evidence.parts():
        if not part.etag or places or len(operation.request.parts) > 1:
            continue
        states = evidence.states_named(part.etag, part.key)
        refused = _refused(operation)
        if refused > evidence.history.failed_over:
            continue  # of another epoch
        line = evidence.lines[part.key]
        if states and refused < NEVER and not _was_followed(line, max(states), refused):
            yield f"{operation.request.operation} on {part.key} was refused, its etag was current"


def no_etag_outlives_a_failover(evidence: Evidence) -> Iterator[str]:
    """An etag from before is refused, whatever it may name by then."""
    failed_over = evidence.history.failed_over
    for operation, part, _ in evidence.parts():
        if evidence.first_told.get(part.etag, NEVER) > failed_over:
            continue
        for attempt in operation.attempts:
            accepted = any(not seen.replayed for seen in attempt.answer.seen)
            if attempt.invoked > failed_over and accepted:
                yield f"{operation.request.operation} had an etag of {part.key} from before"


def _refused(operation: Operation) -> int:
    """When the last attempt came back that found the etag not current."""
    return max(
        (
            attempt.returned
            for attempt in operation.attempts
            if attempt.answer.verdict is Verdict.REFUSED and attempt.answer.reason == ETAG_MISMATCH
        ),
        default=NEVER,
    )


def _was_followed(line: Line, state: int, before: int) -> bool:
    """Whether the update after `state` was sent before a moment."""
    if state + 1 >= len(line.states):
        return False
    maker = line.states[state + 1].maker
    return maker is None or maker.invoked < before
