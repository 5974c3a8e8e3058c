"""Changes in their stored form: a serialized featom.v1.AggregateChange."""

from collections.abc import Mapping

from domain.change import Change
from domain.feature import Feature
from featom.v1 import aggregate_pb2
from repository.codec.instants import encode_instant
from repository.codec.state import StoredFeatures
from repository.codec.values import encode_feature


def dump_change(change: Change, features: Mapping[str, Feature]) -> bytes:
    """The stored form of a change; `features` are those of the aggregate just after it."""
    assert isinstance(features, StoredFeatures)
    # What is encoded in the state already is copied from there, at a fraction of the cost.
    state = features.message
    message = aggregate_pb2.AggregateChange(key=state.key, uid=state.uid, version=change.version)
    encode_instant(change.commit_time, message.commit_time)
    encoded, changed = state.features, message.features
    for name in change.features:
        changed[name].CopyFrom(encoded[name])
    for name, feature in change.late_features.items():
        encode_feature(feature, message.late_features[name])
    message.late_appends.extend(change.late_appends)
    message.removed.extend(change.removed)
    message.deleted = change.deleted
    message.actor = change.actor
    message.entity_type_revision = change.entity_type_revision
    if change.request_id is not None:
        message.request_id = str(change.request_id)
    return message.SerializeToString()
