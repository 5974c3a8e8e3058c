"""The past of an aggregate, folded from its stored changes."""

from collections.abc import Iterable
from typing import NamedTuple

from domain.instant import Instant
from featom.v1.aggregate_pb2 import AggregateChange, Feature, FeatureAggregate
from repository.codec.instants import decode_instant


class Past(NamedTuple):
    """An aggregate as it was."""

    version: int
    """0: there was none."""
    state: bytes
    """In the stored form."""


def fold(state: bytes, changes: Iterable[bytes]) -> Past:
    """Apply changes, oldest first, to the state that they begin with (empty: before the first).

    Raises ValueError if a version is missing in between.
    """
    folded = FeatureAggregate.FromString(state)
    for change in map(AggregateChange.FromString, changes):
        if _advances(change):
            _advance(folded, change)
    return Past(folded.version, folded.SerializeToString())


def fold_by_event_time(changes: Iterable[bytes], time: Instant) -> Past | None:
    """What all events up to `time` make, those that came late included; None: nothing.

    Each feature has the newest value whose event time is not after `time`. A removal counts from
    its commit time, since what it removes has no time of its own any more. What came too late to be
    appended is no value of its feature: the list of that time is kept without it.
    """
    state = FeatureAggregate()
    for change in map(AggregateChange.FromString, changes):
        _name(state, change)
        # One of late values only has the version that it left as it was.
        if change.version == 1 and _advances(change):
            state.create_time.CopyFrom(change.commit_time)
        late = (it for it in change.late_features.items() if it[0] not in change.late_appends)
        for name, feature in (*change.features.items(), *late):
            if _supersedes(feature, state, name, time):
                state.features[name].CopyFrom(feature)
                state.version = max(state.version, feature.version)
                state.entity_type_revision = change.entity_type_revision
        if decode_instant(change.commit_time) <= time:
            for name in change.removed:
                state.features.pop(name, None)
            state.update_time.CopyFrom(change.commit_time)
    return Past(state.version, state.SerializeToString()) if state.features else None


def _name(state: FeatureAggregate, change: AggregateChange) -> None:
    if not state.uid:
        state.key.CopyFrom(change.key)
        state.uid = change.uid


def _advances(change: AggregateChange) -> bool:
    return bool(change.features or change.removed or change.deleted)


def _advance(state: FeatureAggregate, change: AggregateChange) -> None:
    if change.version != state.version + 1:
        raise ValueError(f"version {state.version + 1} is missing")
    if change.version == 1:
        _name(state, change)
        state.create_time.CopyFrom(change.commit_time)
    for name in change.removed:
        del state.features[name]
    for name, feature in change.features.items():
        state.features[name].CopyFrom(feature)
    state.version = change.version
    state.entity_type_revision = change.entity_type_revision
    state.update_time.CopyFrom(change.commit_time)


def _supersedes(feature: Feature, state: FeatureAggregate, name: str, time: Instant) -> bool:
    event_time = decode_instant(feature.event_time)
    if event_time > time or not feature.HasField("value"):
        return False
    current = state.features.get(name)
    return current is None or event_time >= decode_instant(current.event_time)
