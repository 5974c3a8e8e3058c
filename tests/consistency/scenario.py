"""A recording and a history made by hand, and ways to make them wrong."""

from dataclasses import dataclass, field
from typing import Any

from featom.v1.aggregate_pb2 import AggregateChange, Feature, FeatureAggregate
from tests.consistency.features import Fact, Facts, digest, facts_of, nanoseconds
from tests.consistency.history import Entry, History
from tests.consistency.model import effect
from tests.consistency.operations import (
    ABSENT_FEATURE,
    MARK,
    TOTAL,
    Answer,
    Attempt,
    Kind,
    Part,
    Request,
    Seen,
    Step,
    Verdict,
)

_SECOND = 1_000_000_000
_LATE = 1
"""An event time before all others."""


@dataclass
class Story:
    """One client that does one thing after the other; each takes a second."""

    attempts: list[Attempt] = field(default_factory=list)
    history: History = field(default_factory=lambda: History({}, {}))
    _now: int = 1_000 * _SECOND
    _incarnations: int = 0

    def update(
        self,
        name: str,
        *keys: str,
        etag: str = "",
        late: bool = False,
        must_be_absent: bool = False,
        verdict: Verdict = Verdict.ACKNOWLEDGED,
        overtaken_by: str = "",
    ) -> None:
        """Update aggregates, and be told so or not. A `late` one has an old value in it, and one
        that is `overtaken_by` a deletion of the first makes that anew."""
        steps = _steps(name, late=late)
        parts = tuple(Part(key, steps, etag, must_be_absent) for key in keys)
        transaction = self._begin()
        if overtaken_by:
            self.delete(overtaken_by, keys[0])
        seen = tuple(self._commit(part, transaction) for part in parts)
        answer = Answer(verdict, "", seen if verdict is Verdict.ACKNOWLEDGED else ())
        self._record(Request(name, 1, Kind.UPDATE, parts), answer, begun=transaction)

    def leave(self, name: str, key: str, *, etag: str = "") -> None:
        """An update that leaves an aggregate as it is."""
        self._begin()
        part = Part(key, (Step(ABSENT_FEATURE, "remove"),), etag)
        seen = _told(key, self.history.aggregates[key])
        self._record(
            Request(name, 1, Kind.UPDATE, (part,)), Answer(Verdict.ACKNOWLEDGED, "", (seen,))
        )

    def rehearse(self, name: str, key: str) -> None:
        """An update that is only to be checked."""
        self._begin()
        version = self.history.aggregates[key].version + 1
        request = Request(name, 1, Kind.UPDATE, (Part(key, _steps(name)),), validate_only=True)
        self._record(request, Answer(Verdict.ACKNOWLEDGED, "", (Seen(key, version, ""),)))

    def ask_again(self, name: str) -> None:
        """What was asked before, with its request id, and has its answer."""
        self._begin()
        first = self._attempt(name)
        request = first.request._replace(request_id=name)
        self.attempts[self.attempts.index(first)] = first._replace(request=request)
        seen = tuple(seen._replace(replayed=True) for seen in first.answer.seen)
        self._record(request, first.answer._replace(seen=seen))

    def apply_again(self, name: str) -> None:
        """What was asked before, with its request id, and is applied anew, as that was erased."""
        transaction = self._begin()
        first = self._attempt(name)
        request = first.request._replace(request_id=name)
        self.attempts[self.attempts.index(first)] = first._replace(request=request)
        seen = tuple(self._commit(part, transaction) for part in request.parts)
        self._record(request, Answer(Verdict.ACKNOWLEDGED, "", seen))

    def reuse(self, name: str, first: str) -> None:
        """Another payload with a request id that is known."""
        self._begin()
        part = self._attempt(first).request.parts[0]._replace(steps=_steps(name))
        request = Request(name, 1, Kind.UPDATE, (part,), request_id=first, reuses=first)
        self._record(request, Answer(Verdict.REFUSED, "REQUEST_ID_REUSED"))

    def delete(self, name: str, key: str, *, erase: bool = False) -> None:
        transaction = self._begin()
        stored = self.history.aggregates.pop(key)
        change = AggregateChange(
            uid=stored.uid, version=stored.version + 1, deleted=True, request_id=name
        )
        change.commit_time.FromNanoseconds(transaction)
        if erase:
            self.history.entries[key].clear()
        self.history.entries[key].append(Entry(transaction, change, None))
        request = Request(name, 1, Kind.DELETE, (Part(key),), request_id=name, erase_history=erase)
        seen = Seen(key, change.version, "", update_time=transaction)
        self._record(request, Answer(Verdict.ACKNOWLEDGED, "", (seen,)))

    def refuse(
        self,
        name: str,
        key: str,
        *,
        etag: str = "",
        must_be_absent: bool = False,
        while_updated_by: str = "",
    ) -> None:
        """An update that changes nothing."""
        begun = self._begin()
        if while_updated_by:
            self.update(while_updated_by, key)
        parts = (Part(key, _steps(name), etag, must_be_absent),)
        reason = "ETAG_MISMATCH" if etag else "INVALID_VALUE"
        reason = "AGGREGATE_EXISTS" if must_be_absent else reason
        self._record(
            Request(name, 1, Kind.UPDATE, parts), Answer(Verdict.REFUSED, reason), begun=begun
        )

    def miss(self, name: str, key: str) -> None:
        """An update that never arrived."""
        self._begin()
        request = Request(name, 1, Kind.UPDATE, (Part(key, _steps(name)),))
        self._record(request, Answer(Verdict.UNKNOWN, "deadline_exceeded"))

    def read(self, name: str, *keys: str, begun: str = "") -> Seen:
        """Read aggregates; returns what was seen of the first. `begun` with another operation."""
        started = self._attempt(begun).invoked if begun else self._begin()
        seen = tuple(self._look(key) for key in keys)
        request = Request(name, 1, Kind.READ, tuple(Part(key) for key in keys))
        self._record(request, Answer(Verdict.ACKNOWLEDGED, "", seen), begun=started)
        return seen[0]

    def fail_over(self) -> None:
        """A standby takes over, with all that was committed."""
        self.history = self.history._replace(failed_over=self._begin())

    def answer(self, name: str) -> Answer:
        return self._attempt(name).answer

    def change(self, name: str) -> AggregateChange:
        """The change that an operation made."""
        return next(entry.change for _, entry in self._entries(name))

    def change_answer(self, name: str, **fields: Any) -> None:
        attempt = self._attempt(name)
        changed = attempt._replace(answer=attempt.answer._replace(**fields))
        self.attempts[self.attempts.index(attempt)] = changed

    def withdraw(self, name: str) -> None:
        """Nobody has asked for it."""
        self.attempts.remove(self._attempt(name))

    def forget(self, name: str, key: str = "") -> None:
        """It is not in the history, or not in that of one key."""
        for found, entry in self._entries(name):
            if key in ("", found):
                self.history.entries[found].remove(entry)

    def repeat(self, name: str) -> None:
        """It is there once more."""
        (part,) = self._attempt(name).request.parts
        self._commit(part, self._begin())

    def add_part(self, name: str, key: str, etag: str) -> None:
        """A batch was also to leave another aggregate as an etag says, and it did."""
        attempt = self._attempt(name)
        part = Part(key, (Step(ABSENT_FEATURE, "remove"),), etag)
        request = attempt.request._replace(parts=(*attempt.request.parts, part))
        seen = Seen(key, int(etag.partition("/")[2]), etag)
        answer = attempt.answer._replace(seen=(*attempt.answer.seen, seen))
        changed = attempt._replace(request=request, answer=answer)
        self.attempts[self.attempts.index(attempt)] = changed

    def swap_times(self, name: str, other: str) -> None:
        """Each was asked for when the other one was."""
        one, two = self._attempt(name), self._attempt(other)
        places = self.attempts.index(one), self.attempts.index(two)
        self.attempts[places[0]] = one._replace(invoked=two.invoked, returned=two.returned)
        self.attempts[places[1]] = two._replace(invoked=one.invoked, returned=one.returned)

    def _commit(self, part: Part, transaction: int) -> Seen:
        stored = self.history.aggregates.get(part.key)
        if stored is None:
            self._incarnations += 1
            stored = FeatureAggregate(uid=f"uid-{self._incarnations}")
            self.history.aggregates[part.key] = stored
        result = effect(part.steps, facts_of(stored.features), stored.version, transaction)
        change = AggregateChange(
            uid=stored.uid, version=stored.version + 1, removed=sorted(result.removed)
        )
        _fill(change.features, result.changed)
        _fill(change.late_features, result.late)
        change.commit_time.FromNanoseconds(transaction)
        for name in result.removed:
            del stored.features[name]
        _fill(stored.features, result.changed)
        stored.version = change.version
        stored.update_time.CopyFrom(change.commit_time)
        self.history.entries.setdefault(part.key, []).append(Entry(transaction, change, None))
        return _told(part.key, stored, tuple(sorted(result.late)))

    def _look(self, key: str) -> Seen:
        stored = self.history.aggregates.get(key)
        if stored is None:
            return Seen(key, 0, "")
        content = digest(facts_of(stored.features))
        return Seen(key, stored.version, _etag(stored), stored.uid, content)

    def _entries(self, name: str) -> list[tuple[str, Entry]]:
        return [
            (key, entry)
            for key, entries in self.history.entries.items()
            for entry in entries
            if name in (entry.operation, entry.change.request_id)
        ]

    def _attempt(self, name: str) -> Attempt:
        return next(a for a in self.attempts if a.request.operation == name)

    def _begin(self) -> int:
        self._now += _SECOND
        return self._now

    def _record(self, request: Request, answer: Answer, begun: int | None = None) -> None:
        invoked = (self._now if begun is None else begun) - _SECOND // 4
        self.attempts.append(Attempt(request, invoked, self._now + _SECOND // 4, answer))


def _steps(name: str, *, late: bool = False) -> tuple[Step, ...]:
    return (
        Step(MARK, "set", name),
        Step(TOTAL, "increment", 1),
        Step("value", "set", int(name)),
        Step("observed", "set", int(name), _LATE - int(late)),
        Step("recent", "append", name, max_length=3),
    )


def _told(key: str, stored: FeatureAggregate, late: tuple[str, ...] = ()) -> Seen:
    """What an update is told of the version that it left."""
    time = nanoseconds(stored.update_time)
    return Seen(key, stored.version, _etag(stored), update_time=time, stale=late)


def _etag(stored: FeatureAggregate) -> str:
    return f"{stored.uid}/{stored.version}"


def _fill(features: Any, facts: Facts) -> None:
    for name, fact in facts.items():
        features[name].CopyFrom(_feature(fact))


def _feature(fact: Fact) -> Feature:
    feature = Feature(version=fact.version)
    if isinstance(fact.value, tuple):
        feature.value.string_list.values.extend(fact.value)
    elif fact.kind:
        setattr(feature.value, fact.kind, fact.value)
    feature.event_time.FromNanoseconds(fact.event_time)
    return feature
