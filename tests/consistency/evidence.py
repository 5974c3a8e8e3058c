"""The recording and the history, laid side by side for the checks."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from tests.consistency.history import Entry, History
from tests.consistency.key_history import Line
from tests.consistency.operations import Attempt, Kind, Part
from tests.consistency.outcomes import Operation, operations_of
from tests.consistency.recorder import NEVER


class Place(NamedTuple):
    """Where an operation is found in the history."""

    line: Line
    number: int

    @property
    def entry(self) -> Entry:
        return self.line.entries[self.number]

    @property
    def state(self) -> int:
        """The state that it led to or left."""
        return self.line.after[self.number]

    @property
    def before(self) -> int:
        """The state that it was made from."""
        return self.state - self.entry.advances


class Evidence:
    """Operations by name, lines by key, and where each operation is found."""

    def __init__(self, attempts: Sequence[Attempt], history: History) -> None:
        self.history = history
        self.reads = [a for a in attempts if a.request.kind is Kind.READ]
        self.operations = operations_of(attempts)
        self.places: defaultdict[str, list[Place]] = defaultdict(list)
        by_request_id: dict[str, Operation] = {}
        for operation in self.operations.values():
            # The first one has the right to it.
            by_request_id.setdefault(operation.request.request_id, operation)
        by_request_id.pop("", None)
        keys = {part.key for attempt in attempts for part in attempt.request.parts}
        self.lines: dict[str, Line] = {}
        for key in sorted(keys | set(history.entries)):
            entries = history.entries.get(key, [])
            makers = [self._maker(entry, by_request_id) for entry in entries]
            line = self.lines[key] = Line(key, entries, makers)
            for number, maker in enumerate(makers):
                if maker is not None:
                    self.places[maker.request.operation].append(Place(line, number))

    def parts(self) -> Iterator[tuple[Operation, Part, list[Place]]]:
        """Each part of each operation, with the places where it is found."""
        for operation in self.operations.values():
            places = self.places.get(operation.request.operation, [])
            for part in operation.request.parts:
                yield operation, part, [place for place in places if place.line.key == part.key]

    def may_be_erased(self, operation: Operation, key: str) -> bool:
        """Whether what an operation changed of a key may have been erased since."""
        return operation.invoked < self.lines[key].erased_until

    def may_be_forgotten(self, operation: Operation) -> bool:
        """Whether the request id of an operation may have been erased between its attempts, with
        the history of an entity: then a later one is applied anew, or has not all of the answer.
        """
        keys = (part.key for part in operation.request.parts)
        return len(operation.attempts) > 1 and any(
            self.may_be_erased(operation, key) for key in keys
        )

    @cached_property
    def named(self) -> Mapping[str, set[tuple[str, int]]]:
        """By etag, every key and state that some answer said it was of."""
        named: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
        for places in self.places.values():
            for place in places:
                maker = place.line.makers[place.number]
                assert maker is not None
                for attempt in maker.attempts:
                    for seen in attempt.answer.seen:
                        if seen.etag and seen.key == place.line.key:
                            named[seen.etag].add((seen.key, place.state))
        for attempt in self.reads:
            for seen in attempt.answer.seen:
                state = self.lines[seen.key].state_of(seen)
                if seen.etag and state is not None:
                    named[seen.etag].add((seen.key, state))
        return dict(named)

    @cached_property
    def first_told(self) -> Mapping[str, int]:
        """By etag, when some answer had it first."""
        first: dict[str, int] = {}
        operations = self.operations.values()
        for attempt in (*self.reads, *(each for one in operations for each in one.attempts)):
            for seen in attempt.answer.seen:
                if seen.etag:
                    first[seen.etag] = min(attempt.returned, first.get(seen.etag, NEVER))
        return first

    def states_named(self, etag: str, key: str) -> list[int]:
        """The states of a key that an etag is of: one, if all is well."""
        return [state for named, state in self.named.get(etag, ()) if named == key]

    def _maker(self, entry: Entry, by_request_id: dict[str, Operation]) -> Operation | None:
        if entry.operation is not None:
            return self.operations.get(entry.operation)
        return by_request_id.get(entry.change.request_id)
