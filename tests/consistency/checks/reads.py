"""What was promised of reads: each is one committed version, and none is from the past."""

from collections import defaultdict
from collections.abc import Iterator

from tests.consistency.evidence import Evidence
from tests.consistency.key_history import ABSENT, Line
from tests.consistency.operations import Attempt, Verdict
from tests.consistency.recorder import NEVER


def reads_are_committed_versions(evidence: Evidence) -> Iterator[str]:
    """No read is torn, and none shows what was never committed."""
    for attempt in evidence.reads:
        for seen in attempt.answer.seen:
            line = evidence.lines[seen.key]
            state = line.state_of(seen)
            if state is None and attempt.invoked < line.erased_until:
                continue
            if state is None:
                yield f"{_name(attempt)} saw {seen.key} at version {seen.version}: never there"
            elif seen.version and line.states[state].digest != seen.digest:
                yield f"{_name(attempt)} saw {seen.key} at version {seen.version} with other values"


def reads_are_never_old(evidence: Evidence) -> Iterator[str]:
    """Not older than what was acknowledged, or returned to another read, before they began."""
    left = _answers_of_what_was_left(evidence)
    for line, states in _states_of_reads(evidence):
        floor = _Floor(line)
        moments = _returns_of_updates(line) + left[line.key]
        moments += [(attempt.returned, 1, number, attempt) for number, attempt, _ in states]
        moments += [(attempt.invoked, 0, number, attempt) for number, attempt, _ in states]
        found = {number: state for number, _, state in states}
        for _, returns, number, attempt in sorted(moments, key=lambda moment: moment[:3]):
            if attempt is None:
                floor.raise_to(number)
            elif returns:
                floor.raise_to(found[number])
            else:
                found[number] = floor.earliest(found[number])
                if found[number] < floor.state:
                    yield (
                        f"{_name(attempt)} saw {line.key} in state {found[number]}, "
                        f"and {floor.state} was known"
                    )


def reads_are_never_early(evidence: Evidence) -> Iterator[str]:
    """No read shows an update that nobody had asked for yet."""
    for line, states in _states_of_reads(evidence):
        for _, attempt, state in states:
            maker = line.states[state].maker
            if maker is not None and maker.invoked > attempt.returned:
                yield f"{_name(attempt)} saw {line.key} in state {state} before it was asked for"


class _Floor:
    """The newest state of a key that somebody knows of."""

    def __init__(self, line: Line) -> None:
        self.state = 0
        self._line = line

    def raise_to(self, state: int) -> None:
        self.state = max(self.state, state)

    def earliest(self, state: int) -> int:
        """The state that was read: of several absences the first that is not too old."""
        if self._line.states[state].digest != ABSENT:
            return state
        return self._line.absence_from(self.state)


def _states_of_reads(
    evidence: Evidence,
) -> Iterator[tuple[Line, list[tuple[int, Attempt, int]]]]:
    """By key, every read of it that was answered with a known state, numbered."""
    by_key: defaultdict[str, list[tuple[int, Attempt, int]]] = defaultdict(list)
    for number, attempt in enumerate(evidence.reads):
        if attempt.answer.verdict is not Verdict.ACKNOWLEDGED:
            continue
        for seen in attempt.answer.seen:
            state = evidence.lines[seen.key].state_of(seen)
            if state is not None:
                by_key[seen.key].append((number, attempt, state))
    for key, states in by_key.items():
        yield evidence.lines[key], states


def _returns_of_updates(line: Line) -> list[tuple[int, int, int, Attempt | None]]:
    return [
        (acknowledged, 1, line.after[number], None)
        for number, acknowledged in enumerate(line.acknowledged)
        if acknowledged < NEVER
    ]


def _answers_of_what_was_left(
    evidence: Evidence,
) -> defaultdict[str, list[tuple[int, int, int, Attempt | None]]]:
    """By key, when which state was told to those who left it as it was."""
    answers: defaultdict[str, list[tuple[int, int, int, Attempt | None]]] = defaultdict(list)
    for operation, part, _ in evidence.parts():
        told = operation.told(part.key)
        if told is None or part.leaves_a_mark:
            continue
        named = evidence.states_named(told.etag, part.key)
        answers[part.key] += [(operation.acknowledged, 1, state, None) for state in named[:1]]
    return answers


def _name(attempt: Attempt) -> str:
    return attempt.request.operation
