"""What is read, and what became of a write."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from featom_client.contract import (
    DeleteAggregateResponse,
    EntityKey,
    Feature,
    FeatureAggregate,
    Timestamp,
    UpdateFeaturesResponse,
)
from featom_client.values import Value, decode, to_datetime


class Aggregate(Mapping[str, Value]):
    """All features of one entity, or those that were asked for, as one committed version.

    A mapping of names, in alphabetical order, to values. A value is decoded each time that it is
    looked at.
    """

    __slots__ = ("_features", "_inexact", "_message", "_read_time")

    def __init__(
        self,
        message: FeatureAggregate,
        read_time: Timestamp | None = None,
        inexact: tuple[str, ...] = (),
    ) -> None:
        self._message = message
        self._read_time = read_time
        self._inexact = inexact
        self._features: Mapping[str, Feature] = message.features

    def __getitem__(self, name: str) -> Value:
        # The map of a message makes what is not there.
        if name not in self._features:
            raise KeyError(name)
        return decode(self._features[name].value)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._features))

    def __len__(self) -> int:
        return len(self._features)

    def __contains__(self, name: object) -> bool:
        return name in self._features

    def __eq__(self, other: object) -> bool:
        """Aggregates are equal that are the same version of one entity, with the same features."""
        if isinstance(other, Aggregate):
            return self._message == other._message
        return super().__eq__(other)

    def __repr__(self) -> str:
        key = f"{self.entity_type}/{self.entity_id}"
        return f"<Aggregate {key} version {self.version}: {dict(self)}>"

    def __reduce__(self) -> tuple[object, ...]:
        read_time = self._read_time and self._read_time.SerializeToString()
        return _unpickled, (self._message.SerializeToString(), read_time, self._inexact)

    @property
    def entity_type(self) -> str:
        return self._message.key.entity_type

    @property
    def entity_id(self) -> str:
        return self._message.key.entity_id

    @property
    def version(self) -> int:
        """Counts the versions of the vector from 1. Log it beside what a model answers."""
        return self._message.version

    @property
    def etag(self) -> str:
        """Makes an update or a deletion conditional on this version; empty if it is past."""
        return self._message.etag

    @property
    def uid(self) -> str:
        """Another one after the entity was deleted and written again."""
        return self._message.uid

    @property
    def create_time(self) -> datetime:
        return to_datetime(self._message.create_time)

    @property
    def update_time(self) -> datetime:
        """When this version was committed."""
        return to_datetime(self._message.update_time)

    @property
    def read_time(self) -> datetime | None:
        """The moment for which it was decided what has expired; None in a list or after a write."""
        return None if self._read_time is None else to_datetime(self._read_time)

    @property
    def expired(self) -> tuple[str, ...]:
        """Features that are older than their ttl; they are left out."""
        return tuple(self._message.expired_features)

    @property
    def inexact(self) -> tuple[str, ...]:
        """With `as_of_event_time`: features whose history cannot tell for certain what they were,
        be they here or not. Others are as if all events had come in their order."""
        return self._inexact

    @property
    def entity_type_revision(self) -> int:
        """The revision of the entity type that this version was checked against; 0: none."""
        return self._message.entity_type_revision

    def event_time(self, name: str) -> datetime:
        """When the newest event behind a feature happened. Raises KeyError."""
        return to_datetime(self._feature(name).event_time)

    def changed_in(self, name: str) -> int:
        """The version that last changed a feature. Raises KeyError."""
        return self._feature(name).version

    def _feature(self, name: str) -> Feature:
        if name not in self._features:
            raise KeyError(name)
        return self._features[name]


def absent(entity_type: str, entity_id: str) -> Aggregate:
    """What there is where there is no aggregate: no feature, version 0, no etag."""
    return Aggregate(FeatureAggregate(key=EntityKey(entity_type=entity_type, entity_id=entity_id)))


def _unpickled(message: bytes, read_time: bytes | None, inexact: tuple[str, ...] = ()) -> Aggregate:
    moment = None if read_time is None else Timestamp.FromString(read_time)
    return Aggregate(FeatureAggregate.FromString(message), moment, inexact)


@dataclass(frozen=True)
class Updated:
    """The outcome of an update."""

    version: int
    """The version with this update in it; 0 if there is still no aggregate."""
    etag: str
    update_time: datetime
    stale: tuple[str, ...]
    """Features whose new value came too late to replace a newer one."""
    replayed: bool
    """The request was known, and not applied again: this is its first outcome."""
    aggregate: Aggregate | None
    """The aggregate, if it was asked for."""


def updated(message: UpdateFeaturesResponse) -> Updated:
    return Updated(
        version=message.version,
        etag=message.etag,
        update_time=to_datetime(message.update_time),
        stale=tuple(message.stale_features),
        replayed=message.replayed,
        aggregate=Aggregate(message.aggregate) if message.HasField("aggregate") else None,
    )


@dataclass(frozen=True)
class Deleted:
    """The outcome of a deletion."""

    version: int
    """The last version of what was deleted."""
    delete_time: datetime
    replayed: bool


def deleted(message: DeleteAggregateResponse) -> Deleted:
    return Deleted(message.version, to_datetime(message.delete_time), message.replayed)


@dataclass(frozen=True)
class AggregateChange:
    """What one update or deletion did to an aggregate."""

    uid: str
    """The incarnation that it changed."""
    version: int
    """The version that it made; of a change that only brought late values, the one it left."""
    commit_time: datetime
    features: Mapping[str, Value]
    """The features that it changed, as they were after it."""
    event_times: Mapping[str, datetime]
    """Of those features."""
    removed: tuple[str, ...]
    """Features that it removed."""
    late: Mapping[str, Value]
    """Values that came too late to replace newer ones."""
    deleted: bool
    """It deleted the aggregate; this is the last version of that incarnation."""
    request_id: str
    actor: str
    """Who asked for it; empty while the server runs without authentication."""


def changed(message: Any) -> AggregateChange:
    names = sorted(message.features)
    return AggregateChange(
        uid=message.uid,
        version=message.version,
        commit_time=to_datetime(message.commit_time),
        features={name: decode(message.features[name].value) for name in names},
        event_times={name: to_datetime(message.features[name].event_time) for name in names},
        removed=tuple(message.removed),
        late={
            name: decode(message.late_features[name].value)
            for name in sorted(message.late_features)
        },
        deleted=message.deleted,
        request_id=message.request_id,
        actor=message.actor,
    )
