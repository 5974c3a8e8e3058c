"""The life of one key, as its history tells it."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Final, NamedTuple

from tests.consistency.features import Facts, digest, facts_of, nanoseconds
from tests.consistency.history import Entry
from tests.consistency.operations import Seen, Verdict
from tests.consistency.outcomes import Operation
from tests.consistency.recorder import NEVER

ABSENT: Final = ""
"""Stands for the digest of an aggregate that is not there."""


class State(NamedTuple):
    """One state of one aggregate: what one version was, or that there was none."""

    maker: Operation | None
    """None: it was so from the beginning, or nobody knows who made it."""
    uid: str
    version: int
    digest: str


class Line:
    """The entries of a key, and the states that they lead from and to."""

    def __init__(
        self, key: str, entries: Sequence[Entry], makers: Sequence[Operation | None]
    ) -> None:
        """Apply the changes as they were written, whether or not they are right."""
        self.key = key
        self.entries = entries
        self.makers = makers
        """Whose each entry is."""
        self.states = [State(None, "", 0, ABSENT)]
        """Begins with absence; each entry that advances adds one."""
        self.acknowledged = [
            NEVER if maker is None else _acknowledged(key, entry, maker)
            for entry, maker in zip(entries, makers, strict=True)
        ]
        """For each entry, when it was acknowledged."""
        self.known = [NEVER]
        """For each state, when what led to it was acknowledged."""
        self.after: list[int] = []
        """For each entry, the state that it led to or left."""
        self._index = {("", 0): 0}
        self._of_version: defaultdict[int, list[int]] = defaultdict(list, {0: [0]})
        facts: Facts = {}
        for entry, maker in zip(entries, makers, strict=True):
            if entry.advances:
                facts = next_facts(facts, entry)
                self._add(entry, maker, facts)
                self.known.append(self.acknowledged[len(self.after)])
            self.after.append(len(self.states) - 1)

    def state_of(self, seen: Seen) -> int | None:
        """Which state an answer that names its uid tells of; None if there never was such a one."""
        return self._index.get((seen.uid, seen.version))

    def states_of_version(self, version: int) -> Sequence[int]:
        """The states that an answer without a uid may tell of; version 0 is absence."""
        return self._of_version.get(version, ())

    def absence_from(self, state: int) -> int:
        """The first absence that is not before a state, or else the last one there is."""
        absent = self._of_version[0]
        return absent[min(bisect_left(absent, state), len(absent) - 1)]

    @property
    def last_absence(self) -> int:
        return self._of_version[0][-1]

    @cached_property
    def begun(self) -> list[int]:
        """For each state, when the last of it and all earlier ones was asked for."""
        return [*accumulate((s.maker.invoked if s.maker else 0 for s in self.states), max)]

    @cached_property
    def ended(self) -> list[int]:
        """For each state, when the first of those after it was acknowledged."""
        ends = [*reversed([*accumulate(reversed(self.known), min)]), NEVER]
        return ends[1:]

    def was_current(self, state: int, since: int, until: int) -> bool:
        """Whether a state may have been the current one at some moment of a time."""
        return self.begun[state] <= until and self.ended[state] >= since

    @cached_property
    def erased_until(self) -> int:
        """What was asked for before this moment may have been erased since; 0: nothing was."""
        for number in reversed(range(len(self.entries))):
            maker = self.makers[number]
            if maker is not None and maker.request.erase_history and self.entries[number].advances:
                return min(self.acknowledged[number], self.ended[self.after[number]])
        return 0

    def _add(self, entry: Entry, maker: Operation | None, facts: Facts) -> None:
        number, change = len(self.states), entry.change
        if change.deleted:
            self._of_version[0].append(number)
            self.states.append(State(maker, "", 0, ABSENT))
        else:
            self._index[change.uid, change.version] = number
            self._of_version[change.version].append(number)
            self.states.append(State(maker, change.uid, change.version, digest(facts)))


def _acknowledged(key: str, entry: Entry, maker: Operation) -> int:
    """When an entry was acknowledged: by the first answer that tells of it.

    An erasure takes request ids along, so an operation that was acknowledged before is applied anew
    when it is asked for again. That may have no answer.
    """
    time = commit_time_of(entry)
    told = [
        attempt.returned
        for attempt in maker.attempts
        if attempt.answer.verdict is Verdict.ACKNOWLEDGED
        for seen in attempt.answer.seen
        if (seen.key, seen.update_time) == (key, time)
    ]
    may_be_another = entry.advances and len(maker.attempts) > 1
    return min(told, default=NEVER if may_be_another else maker.acknowledged)


def next_facts(facts: Facts, entry: Entry) -> Facts:
    """The features after an entry."""
    change = entry.change
    if change.deleted or (entry.advances and change.version == 1):
        facts = {}
    facts = facts | facts_of(change.features)
    for name in change.removed:
        facts.pop(name, None)
    return facts


def commit_time_of(entry: Entry) -> int:
    return nanoseconds(entry.change.commit_time)
