"""What was promised of what is seen together: it stood together at one moment."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain
from typing import NamedTuple

from tests.consistency.evidence import Evidence, Place
from tests.consistency.key_history import Line
from tests.consistency.operations import Attempt
from tests.consistency.outcomes import Operation


class Sight(NamedTuple):
    """What was seen of one key. An absence may be any of several."""

    line: Line
    earliest: int
    latest: int


def what_is_seen_together_stood_together(evidence: Evidence) -> Iterator[str]:
    """What one key shows had not been asked for when another key had already gone on."""
    for name, sights in _glimpses(evidence):
        newest = max(sight.line.begun[sight.earliest] for sight in sights)
        oldest_end = min(sight.line.ended[sight.latest] for sight in sights)
        if oldest_end < newest:
            yield f"{name} saw aggregates that never stood together"


def no_half_of_a_batch_is_seen(evidence: Evidence) -> Iterator[str]:
    """Where one key shows a batch, every other one shows it or what came after it; and so where
    one that the batch was to leave as its etag says has gone on."""
    together = _Together(evidence)
    for name, sights in _glimpses(evidence):
        for one in sights:
            for other in sights:
                least, batch = together.least(one.line, one.earliest, other.line)
                if other.latest < least:
                    yield (
                        f"{name} saw {one.line.key} in state {one.earliest}, so after {batch}, "
                        f"and {other.line.key} in state {other.latest} before it"
                    )


class _Together:
    """By two keys, which state of the second goes with each of the first: O(n log n) to make, and
    O(log n) to ask."""

    def __init__(self, evidence: Evidence) -> None:
        led: defaultdict[tuple[str, str], list[tuple[int, int, str]]] = defaultdict(list)
        for name, places in evidence.places.items():
            ends = [(each.line.key, each.state) for each in places if each.entry.advances]
            if ends:
                left = [(key, state + 1) for key, state in _left(evidence, name, dict(ends))]
                for one, state in (*ends, *left):
                    for other in places:
                        if one != other.line.key:
                            led[one, other.line.key].append((state, other.state, name))
        self._states: dict[tuple[str, str], Sequence[int]] = {}
        self._least: dict[tuple[str, str], Sequence[tuple[int, str]]] = {}
        for keys, pairs in led.items():
            pairs.sort()
            self._states[keys] = [state for state, _, _ in pairs]
            self._least[keys] = [*accumulate((each[1:] for each in pairs), max)]

    def least(self, one: Line, state: int, other: Line) -> tuple[int, str]:
        """The first state of `other` that may be seen together with a state of `one`, and the batch
        that says so."""
        keys = one.key, other.key
        place = bisect_right(self._states.get(keys, ()), state)
        return self._least[keys][place - 1] if place else (0, "")


def _glimpses(evidence: Evidence) -> Iterator[tuple[str, list[Sight]]]:
    """What batched reads saw, and what batches of updates were made from, where that is two."""
    seen = ((each.request.operation, _seen(evidence, each)) for each in evidence.reads)
    batches = (
        (name, _made_from(evidence, operation, evidence.places.get(name, [])))
        for name, operation in evidence.operations.items()
        if len(operation.request.parts) > 1
    )
    for name, found in chain(seen, batches):
        sights = [*found]
        if len(sights) > 1:
            yield name, sights


def _seen(evidence: Evidence, attempt: Attempt) -> Iterator[Sight]:
    for seen in attempt.answer.seen:
        line = evidence.lines[seen.key]
        state = line.state_of(seen)
        if not seen.version:
            yield Sight(line, 0, line.last_absence)
        elif state is not None:
            yield Sight(line, state, state)


def _made_from(
    evidence: Evidence, operation: Operation, places: Sequence[Place]
) -> Iterator[Sight]:
    changed = {place.line.key: place.before for place in places if place.entry.advances}
    left = _left(evidence, operation.request.operation, changed)
    for key, state in (*changed.items(), *left):
        yield Sight(evidence.lines[key], state, state)


def _left(evidence: Evidence, name: str, changed: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """What a batch has left as it was, and could not have if it had gone on meanwhile.

    What it leaves need not stand still, unless an etag says so, or it leaves all of it.
    """
    operation = evidence.operations[name]
    for part in operation.request.parts:
        if part.key not in changed:
            told = operation.told(part.key)
            etag = part.etag if changed else told.etag if told else ""
            for state in evidence.states_named(etag, part.key)[:1]:
                yield part.key, state
