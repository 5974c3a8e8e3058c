"""What was promised of updates that make what must be absent."""

from collections.abc import Iterator

from tests.consistency.evidence import Evidence
from tests.consistency.key_history import Line
from tests.consistency.operations import Attempt

AGGREGATE_EXISTS = "AGGREGATE_EXISTS"


def what_must_be_absent_was_absent(evidence: Evidence) -> Iterator[str]:
    """It is version 1 of its incarnation, so of all of one incarnation one at most is made."""
    for operation, part, places in evidence.parts():
        if not part.must_be_absent:
            continue
        for place in places:
            if place.line.states[place.before].version:
                version = place.entry.change.version
                yield f"{operation.request.operation} made version {version} of {part.key}"


def who_was_refused_as_it_exists_met_it(evidence: Evidence) -> Iterator[str]:
    """For that at least one other was on its way that made it, or it was not deleted before."""
    for operation, part, _ in evidence.parts():
        if not part.must_be_absent or evidence.may_be_erased(operation, part.key):
            continue
        line = evidence.lines[part.key]
        for attempt in operation.attempts:
            if attempt.answer.reason == AGGREGATE_EXISTS and _was_absent(line, attempt):
                yield f"{operation.request.operation} on {part.key} was refused, it was absent"


def _was_absent(line: Line, attempt: Attempt) -> bool:
    """Whether there certainly was no aggregate all the while."""
    for absence in line.states_of_version(0):
        since = line.known[absence] if absence else 0
        following = line.states[absence + 1 : absence + 2]
        until = [state.maker.invoked if state.maker else 0 for state in following]
        if since < attempt.invoked and all(attempt.returned < each for each in until):
            return True
    return False
