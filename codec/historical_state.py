"""The past of an aggregate, folded from its stored changes, one after the other.

Features stay encoded (docs/adr/0019), and outside of messages: a message keeps the memory of all
that it ever held, and a history has no end.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from featom.stored.v1.stored_pb2 import StoredAggregate, StoredChange

KEYFRAME_INTERVAL: Final = 64
"""Every so many versions the history holds the whole state, so that the past is never far."""


class HistoricalState(NamedTuple):
    """An aggregate as it was."""

    version: int
    """0: there was none."""
    state: bytes
    """In the stored form."""
    inexact_features: Sequence[str] = ()
    """Those of which the history cannot tell exactly what they were, in alphabetical order."""


class FoldByVersion:
    """The versions of an aggregate, one after the other."""

    def __init__(self, state: bytes) -> None:
        """Begin with a whole state; empty: before the first version."""
        self._head = StoredAggregate.FromString(state)
        self._features = dict(self._head.features)
        self._head.ClearField("features")

    @property
    def past(self) -> HistoricalState:
        return past_of(self._head, self._features)

    def add(self, encoded: bytes) -> None:
        """Apply the next change. Raises ValueError if a version is missing before it."""
        change = StoredChange.FromString(encoded)
        if not is_advance(change):
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
            name_head(head, change)
            head.create_time.CopyFrom(change.commit_time)
        for name in change.removed:
            del features[name]
        features.update(change.features)
        head.version = change.version
        head.entity_type_revision = change.entity_type_revision
        head.update_time.CopyFrom(change.commit_time)


def fold(state: bytes, changes: Iterable[bytes]) -> HistoricalState:
    """See FoldByVersion: of all changes at once."""
    folded = FoldByVersion(state)
    for change in changes:
        folded.add(change)
    return folded.past


def past_of(
    head: StoredAggregate, features: Mapping[str, bytes], inexact: Sequence[str] = ()
) -> HistoricalState:
    """The whole state of a head and its features."""
    state = StoredAggregate()
    state.CopyFrom(head)
    state.features.update(features)
    return HistoricalState(state.version, state.SerializeToString(), inexact)


def name_head(head: StoredAggregate, change: StoredChange) -> None:
    """Say whose state it is."""
    head.key = change.key
    head.uid = change.uid


def is_advance(change: StoredChange) -> bool:
    """Whether a change made another version."""
    return bool(change.features or change.removed or change.deleted)
