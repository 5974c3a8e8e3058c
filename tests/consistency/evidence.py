"""The recording and the history, laid side by side for the checks."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.consistency.features import Facts, digest, facts_of, nanoseconds
from tests.consistency.history import Entry, History
from tests.consistency.operations import Attempt, Kind, Part, Request, Seen, Verdict
from tests.consistency.recorder import NEVER

ABSENT: Final = ""
"""Stands for the digest of an aggregate that is not there."""


@dataclass
class Operation:
    """A request and all attempts at it."""

    request: Request
    attempts: list[Attempt] = field(default_factory=list)
    verdict: Verdict = Verdict.REFUSED
    invoked: int = NEVER
    """When it was first sent."""
    acknowledged: int = NEVER
    """When it was first acknowledged."""

    def add(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        self.invoked = min(self.invoked, attempt.invoked)
        verdict = attempt.answer.verdict
        if verdict is Verdict.ACKNOWLEDGED:
            self.acknowledged = min(self.acknowledged, attempt.returned)
            self.verdict = verdict
        elif verdict is Verdict.UNKNOWN and self.verdict is Verdict.REFUSED:
            self.verdict = verdict


class State(NamedTuple):
    """One state of one aggregate: what one version was, or that there was none."""

    maker: Operation | None
    """None: it was so from the beginning, or nobody knows who made it."""
    uid: str
    version: int
    digest: str


@dataclass
class Line:
    """The life of one key: its entries, and the states that they lead from and to."""

    key: str
    entries: list[Entry]
    makers: list[Operation | None]
    """Whose each entry is."""
    states: list[State] = field(default_factory=lambda: [State(None, "", 0, ABSENT)])
    """Begins with absence; each entry that advances adds one."""
    after: list[int] = field(default_factory=list)
    """For each entry, the state that it led to or left."""
    index: dict[tuple[str, int], int] = field(default_factory=dict)
    """The state that a uid and a version name."""

    def state_of(self, seen: Seen) -> int | None:
        """Which state an answer that names its uid tells of; None if there never was such a one."""
        return self.index.get((seen.uid, seen.version))


class Place(NamedTuple):
    """Where an operation is found in the history."""

    line: Line
    entry: int

    @property
    def state(self) -> int:
        return self.line.after[self.entry]


class Evidence:
    """Operations by name, lines by key, and where each operation is found."""

    def __init__(self, attempts: Sequence[Attempt], history: History) -> None:
        self.history = history
        self.reads = [a for a in attempts if a.request.kind is Kind.READ]
        self.operations = _operations(attempts)
        self.places: defaultdict[str, list[Place]] = defaultdict(list)
        by_request_id = {
            operation.request.request_id: operation
            for operation in self.operations.values()
            if operation.request.request_id
        }
        keys = {part.key for attempt in attempts for part in attempt.request.parts}
        self.lines: dict[str, Line] = {}
        for key in sorted(keys | set(history.entries)):
            entries = history.entries.get(key, [])
            makers = [self._maker(entry, by_request_id) for entry in entries]
            line = _line(key, entries, makers)
            self.lines[key] = line
            for number, maker in enumerate(makers):
                if maker is not None:
                    self.places[maker.request.operation].append(Place(line, number))

    def writes(self) -> Iterable[Operation]:
        return self.operations.values()

    def parts(self) -> Iterator[tuple[Operation, Part, list[Place]]]:
        """Each part of each operation, with the places where it is found."""
        for operation in self.operations.values():
            places = self.places.get(operation.request.operation, [])
            for part in operation.request.parts:
                yield operation, part, [place for place in places if place.line.key == part.key]

    def _maker(self, entry: Entry, by_request_id: dict[str, Operation]) -> Operation | None:
        if entry.operation is not None:
            return self.operations.get(entry.operation)
        return by_request_id.get(entry.change.request_id)


def _operations(attempts: Sequence[Attempt]) -> dict[str, Operation]:
    operations: dict[str, Operation] = {}
    for attempt in attempts:
        request = attempt.request
        if request.kind is not Kind.READ:
            operations.setdefault(request.operation, Operation(request)).add(attempt)
    return operations


def _line(key: str, entries: list[Entry], makers: list[Operation | None]) -> Line:
    """Apply the changes as they were written, whether or not they are right."""
    line = Line(key, entries, makers)
    line.index["", 0] = 0
    facts: Facts = {}
    for entry, maker in zip(entries, makers, strict=True):
        change = entry.change
        if entry.advances:
            facts = {} if change.version == 1 or change.deleted else facts
            facts.update(facts_of(change.features))
            for name in change.removed:
                facts.pop(name, None)
            if change.deleted:
                line.states.append(State(maker, "", 0, ABSENT))
            else:
                line.index[change.uid, change.version] = len(line.states)
                line.states.append(State(maker, change.uid, change.version, digest(facts)))
        line.after.append(len(line.states) - 1)
    return line


def commit_time_of(entry: Entry) -> int:
    return nanoseconds(entry.change.commit_time)
