"""What was promised of request ids."""

from collections.abc import Iterator

from tests.consistency.evidence import Evidence
from tests.consistency.messages import TRY_AGAIN
from tests.consistency.operations import Answer, Verdict
from tests.consistency.outcomes import Operation

REUSED = "REQUEST_ID_REUSED"


def a_replay_equals_the_first_answer(evidence: Evidence) -> Iterator[str]:
    for name, operation in evidence.operations.items():
        if evidence.may_be_forgotten(operation):
            continue
        first, *others = [_told(answer) for answer in _acknowledgements(operation)] or [()]
        for other in others:
            if other != first:
                yield f"{name} was answered {first}, and then {other}"


def one_answer_is_the_first(evidence: Evidence) -> Iterator[str]:
    """All others are replays. Without a request id none is one.

    A single attempt may be one: a server that has lost an answer of the database looks itself.
    """
    for name, operation in evidence.operations.items():
        told = [{seen.replayed for seen in each.seen} for each in _acknowledgements(operation)]
        if any(len(flags) > 1 for flags in told):
            yield f"{name} was replayed in part"
        firsts = told.count({False})
        if firsts > 1 and not evidence.may_be_forgotten(operation):
            yield f"{name} was answered {firsts} times as if for the first time"
        if firsts < len(told) and not operation.request.request_id:
            yield f"{name} was replayed, and has no request id"


def reused_request_ids_are_refused(evidence: Evidence) -> Iterator[str]:
    """An id that is known is refused with another payload, and nothing of that is applied."""
    for name, operation in evidence.operations.items():
        if not operation.request.reuses or _is_forgotten(evidence, operation):
            continue
        if evidence.places.get(name):
            yield f"{name} was applied with the request id of {operation.request.reuses}"
        for answer in (attempt.answer for attempt in operation.attempts):
            refused = answer.reason == REUSED or answer.reason in TRY_AGAIN
            if answer.verdict is not Verdict.UNKNOWN and not refused:
                told = answer.reason or answer.verdict
                yield f"{name}, with the request id of {operation.request.reuses}, was {told}"


def _is_forgotten(evidence: Evidence, operation: Operation) -> bool:
    """Whether the request whose id an operation has may have been erased before it."""
    first = evidence.operations.get(operation.request.reuses)
    return first is not None and any(
        evidence.may_be_erased(first, part.key) for part in first.request.parts
    )


def _acknowledgements(operation: Operation) -> list[Answer]:
    answers = [attempt.answer for attempt in operation.attempts]
    return [answer for answer in answers if answer.verdict is Verdict.ACKNOWLEDGED]


def _told(answer: Answer) -> tuple[object, ...]:
    return tuple(seen._replace(replayed=False) for seen in answer.seen)
