"""The updates that one flight makes."""

from collections.abc import Iterator
from uuid import uuid4

from google.protobuf.timestamp_pb2 import Timestamp

from examples.flights.flights import Flight
from featom.v1.aggregate_pb2 import EntityKey
from featom.v1.feature_store_pb2 import (
    BatchUpdateFeaturesRequest,
    FeatureUpdate,
    UpdateFeaturesRequest,
)
from featom.v1.value_pb2 import FeatureValue


def updates_of(flight: Flight) -> Iterator[UpdateFeaturesRequest]:
    """One update for the flight's aircraft, one for its carrier and one for its airport.

    Each has a request id of its own, so that sending it again never counts the flight twice.
    """
    for update in _updates(flight):
        update.request_id = str(uuid4())
        yield update


def batch_of(flight: Flight) -> BatchUpdateFeaturesRequest:
    """The same updates, made all together or not at all."""
    return BatchUpdateFeaturesRequest(updates=_updates(flight), request_id=str(uuid4()))


def _updates(flight: Flight) -> Iterator[UpdateFeaturesRequest]:
    changes = _changes(flight)
    event_time = Timestamp()
    event_time.FromMicroseconds(flight.event_time)
    for key in _keys(flight):
        yield UpdateFeaturesRequest(key=key, updates=changes, event_time=event_time)


def _keys(flight: Flight) -> Iterator[EntityKey]:
    if flight.tailnum is not None:
        yield EntityKey(entity_type="aircraft", entity_id=flight.tailnum)
    yield EntityKey(entity_type="carrier", entity_id=flight.carrier)
    yield EntityKey(entity_type="airport", entity_id=flight.origin)


def _changes(flight: Flight) -> list[FeatureUpdate]:
    changes = [
        FeatureUpdate(name="flights", increment=_integer(1)),
        FeatureUpdate(name="distance", increment=_integer(flight.distance)),
        FeatureUpdate(name="last_destination", set=FeatureValue(string_value=flight.destination)),
    ]
    if flight.cancelled:
        changes.append(FeatureUpdate(name="cancelled", increment=_integer(1)))
    if flight.delay is not None:
        delay = _integer(flight.delay)
        changes.append(FeatureUpdate(name="last_delay", set=delay))
        changes.append(FeatureUpdate(name="longest_delay", maximum=delay))
    return changes


def _integer(number: int) -> FeatureValue:
    return FeatureValue(int64_value=number)
