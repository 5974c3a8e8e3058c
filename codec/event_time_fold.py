"""What the events up to a time make of an aggregate, folded from its stored changes."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from codec.event_time_feature import EventTimeFeature
from codec.historical_state import HistoricalState, is_advance, name_head, past_of
from codec.operands import decode_operand, parse_operand
from codec.timestamps import decode_timestamp
from domain.event_order import Position
from domain.timestamp import Timestamp
from domain.values import ELEMENT_KINDS, ORDERED_KINDS
from featom.stored.v1.stored_pb2 import StoredAggregate, StoredChange
from featom.v1.aggregate_pb2 import Feature

_RESULTS: Final = frozenset(kind.value for kind in (*ORDERED_KINDS, *ELEMENT_KINDS))
"""The kinds of values that other operations than a set can make."""


class FoldByEventTime:
    """What all events up to a time make, in whatever order they came.

    Changes are added in the order of their commits; if the fold is torn then, once more to what
    `again` gives. A deletion counts from its commit time. What changes from before operands were
    kept set may be the result of another operation, with the event time of a newer one: it is taken
    as it is, and the feature is inexact.
    """

    def __init__(self, time: Timestamp) -> None:
        self._time = time
        self._head = StoredAggregate()
        self._features: dict[str, EventTimeFeature] = {}
        self._before: dict[str, EventTimeFeature] = {}
        self._last: _Place | None = None
        self._end: _Place | None = None

    @property
    def size(self) -> int:
        """Bytes of memory, about: without end where there is no end of names, or of appends."""
        return sum(feature.size for feature in self._features.values())

    @property
    def is_torn(self) -> bool:
        """Whether one pass was not enough."""
        return any(feature.is_torn for feature in self._features.values())

    def again(self) -> "FoldByEventTime":
        """For a second pass over the same changes."""
        second = FoldByEventTime(self._time)
        second._before, second._end = self._features, self._last
        return second

    @property
    def past(self) -> HistoricalState | None:
        """None: nothing."""
        made = {name: feature.result() for name, feature in self._features.items()}
        features = {name: encoded for name, (encoded, _) in made.items() if encoded}
        inexact = sorted(name for name, (_, is_exact) in made.items() if not is_exact)
        return past_of(self._head, features, inexact) if features else None

    def add(self, encoded: bytes) -> None:
        """Apply the next change, in the order of commits."""
        change = StoredChange.FromString(encoded)
        place = _Place(change.version, decode_timestamp(change.commit_time))
        if self._end is not None and place > self._end:
            return
        self._last = place
        head = self._head
        if not head.uid:
            name_head(head, change)
        # One of late values only has the version that it left as it was.
        if change.version == 1 and is_advance(change):
            head.create_time.CopyFrom(change.commit_time)
        if self._apply(change, place):
            head.entity_type_revision = change.entity_type_revision
        if place.commit_time <= self._time:
            if change.deleted:
                self._features.clear()
            head.update_time.CopyFrom(change.commit_time)

    def _apply(self, change: StoredChange, place: "_Place") -> bool:
        """Whether any of it counts."""
        taken = False
        operands = change.operands
        for name, encoded in (*change.features.items(), *change.late_features.items()):
            if name not in operands:
                taken |= self._set(change, name, encoded, place)
        for name, encoded in operands.items():
            taken |= self._operate(change, name, encoded, place)
        for name in change.removed:
            if name not in operands:
                self._remove(change, name, place)
        return taken

    def _set(self, change: StoredChange, name: str, encoded: bytes, place: "_Place") -> bool:
        """A value, or in `late_features` also the removal that one without value stands for."""
        message = Feature.FromString(encoded)
        event_time = decode_timestamp(message.event_time)
        if _is_unknown(change, name, message):
            self._feature(name).note_unknown(event_time)
            if name in change.late_appends:
                return False
        if event_time > self._time:
            return False
        value = encoded if message.HasField("value") else b""
        return self._place(name, Position(event_time, *place), value, message.version)

    def _operate(self, change: StoredChange, name: str, encoded: bytes, place: "_Place") -> bool:
        """An operand, or a removal, after which the feature may have its default."""
        message = parse_operand(encoded)
        stored = change.features.get(name) or change.late_features.get(name)
        feature = None if stored is None else Feature.FromString(stored)
        if message.HasField("event_time"):
            event_time = decode_timestamp(message.event_time)
        elif feature is not None:
            event_time = decode_timestamp(feature.event_time)
        else:
            event_time = place.commit_time
        if event_time > self._time:
            return False
        position = Position(event_time, *place)
        if message.remove:
            return self._place(name, position, stored or b"", change.version)
        late = feature if name in change.late_features else None
        operand = decode_operand(message, event_time, late)
        return self._counted(self._feature(name).add(position, operand), change.version)

    def _remove(self, change: StoredChange, name: str, place: "_Place") -> None:
        if not change.has_operands:
            self._feature(name).note_unknown(place.commit_time)
        if place.commit_time <= self._time:
            self._place(name, Position(place.commit_time, *place), b"", 0)

    def _place(self, name: str, position: Position, encoded: bytes, version: int) -> bool:
        return self._counted(self._feature(name).set(position, encoded), version)

    def _counted(self, counts: bool, version: int) -> bool:
        if counts and version > self._head.version:
            self._head.version = version
        return counts

    def _feature(self, name: str) -> EventTimeFeature:
        feature = self._features.get(name)
        if feature is None:
            feature = self._features[name] = EventTimeFeature(self._before.get(name))
        return feature


def fold_by_event_time(changes: Iterable[bytes], time: Timestamp) -> HistoricalState | None:
    """See FoldByEventTime: of all changes at once."""
    changes = tuple(changes)
    folded = FoldByEventTime(time)
    for change in changes:
        folded.add(change)
    if folded.is_torn:
        folded = folded.again()
        for change in changes:
            folded.add(change)
    return folded.past


class _Place(NamedTuple):
    """Where a change stands among those of its incarnation."""

    version: int
    commit_time: Timestamp


def _is_unknown(change: StoredChange, name: str, feature: Feature) -> bool:
    """Whether a value from before operands were kept may be of another operation than a set."""
    if change.has_operands:
        return False
    if name in change.features:
        return feature.value.WhichOneof("kind") in _RESULTS
    return name in change.late_appends
