"""The past of an aggregate, folded from its stored changes, one after the other.

Features stay encoded (docs/adr/0019), and outside of messages: a message keeps the memory of all
that it ever held, and a history has no end.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from codec.timestamps import decode_timestamp
from domain.timestamp import Timestamp
from featom.stored.v1.stored_pb2 import StoredAggregate, StoredChange
from featom.v1.aggregate_pb2 import Feature

KEYFRAME_INTERVAL: Final = 64
"""Every so many versions the history holds the whole state, so that the past is never far."""


class HistoricalState(NamedTuple):
    """An aggregate as it was."""

    version: int
    """0: there was none."""
    state: bytes
    """In the stored form."""


class FoldByVersion:
    """The versions of an aggregate, one after the other."""

    def __init__(self, state: bytes) -> None:
        """Begin with a whole state; empty: before the first version."""
        self._head = StoredAggregate.FromString(state)
        self._features = dict(self._head.features)
        self._head.ClearField("features")

    @property
    def past(self) -> HistoricalState:
        return _past(self._head, self._features)

    def add(self, encoded: bytes) -> None:
        """Apply the next change. Raises ValueError if a version is missing before it."""
        change = StoredChange.FromString(encoded)
        if not _advances(change):
            return
        head, features = self._head, self._features
        if change.version != head.version + 1:
            raise ValueError(f"version {head.version + 1} is missing")
        if change.deleted:
            # What it made has a number, but there is no aggregate of it.
            head.Clear()
            features.clear()
            return
        if change.version == 1:
            _name(head, change)
            head.create_time.CopyFrom(change.commit_time)
        for name in change.removed:
            del features[name]
        features.update(change.features)
        head.version = change.version
        head.entity_type_revision = change.entity_type_revision
        head.update_time.CopyFrom(change.commit_time)


class FoldByEventTime:
    """What all events up to a time make, those that came late included.

    Each feature has the newest value whose event time is not after the time. A removal counts from
    its commit time, since what it removes has no time of its own any more, and so does a deletion.
    What came too late to be appended is no value of its feature: the list of that time is kept
    without it.
    """

    def __init__(self, time: Timestamp) -> None:
        self._time = time
        self._head = StoredAggregate()
        self._features: dict[str, bytes] = {}
        self._event_times: dict[str, Timestamp] = {}
        self.size = 0
        """Bytes of features: without end where all that was removed was removed after the time."""

    @property
    def past(self) -> HistoricalState | None:
        """None: nothing."""
        return _past(self._head, self._features) if self._features else None

    def add(self, encoded: bytes) -> None:
        """Apply the next change, in the order of commits."""
        change = StoredChange.FromString(encoded)
        head = self._head
        if not head.uid:
            _name(head, change)
        # One of late values only has the version that it left as it was.
        if change.version == 1 and _advances(change):
            head.create_time.CopyFrom(change.commit_time)
        late = (it for it in change.late_features.items() if it[0] not in change.late_appends)
        for name, feature in (*change.features.items(), *late):
            if self._takes(name, feature):
                head.entity_type_revision = change.entity_type_revision
        if decode_timestamp(change.commit_time) <= self._time:
            for name in list(self._features) if change.deleted else change.removed:
                self.size -= len(self._features.pop(name, b""))
                self._event_times.pop(name, None)
            head.update_time.CopyFrom(change.commit_time)

    def _takes(self, name: str, encoded: bytes) -> bool:
        """Whether a value is in its time and no older than the one before it."""
        feature = Feature.FromString(encoded)
        event_time = decode_timestamp(feature.event_time)
        if event_time > self._time or not feature.HasField("value"):
            return False
        current = self._event_times.get(name)
        if current is not None and event_time < current:
            return False
        self.size += len(encoded) - len(self._features.get(name, b""))
        self._features[name], self._event_times[name] = encoded, event_time
        self._head.version = max(self._head.version, feature.version)
        return True


def fold(state: bytes, changes: Iterable[bytes]) -> HistoricalState:
    """See FoldByVersion: of all changes at once."""
    folded = FoldByVersion(state)
    for change in changes:
        folded.add(change)
    return folded.past


def fold_by_event_time(changes: Iterable[bytes], time: Timestamp) -> HistoricalState | None:
    """See FoldByEventTime: of all changes at once."""
    folded = FoldByEventTime(time)
    for change in changes:
        folded.add(change)
    return folded.past


def _past(head: StoredAggregate, features: Mapping[str, bytes]) -> HistoricalState:
    state = StoredAggregate()
    state.CopyFrom(head)
    state.features.update(features)
    return HistoricalState(state.version, state.SerializeToString())


def _name(head: StoredAggregate, change: StoredChange) -> None:
    head.key = change.key
    head.uid = change.uid


def _advances(change: StoredChange) -> bool:
    return bool(change.features or change.removed or change.deleted)
