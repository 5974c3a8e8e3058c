"""Changes in their stored form: a serialized featom.v1.AggregateChange."""

from collections.abc import Mapping

from codec.features import StoredFeatures, encode_feature
from codec.operands import dump_operand
from codec.timestamps import encode_timestamp
from domain.change import Change
from domain.feature import Feature
from featom.stored.v1 import stored_pb2


def dump_change(change: Change, features: Mapping[str, Feature]) -> bytes:
    """The stored form of a change; `features` are those of the aggregate just after it."""
    assert isinstance(features, StoredFeatures)
    state = features.message
    message = stored_pb2.StoredChange(key=state.key, uid=state.uid, version=change.version)
    encode_timestamp(change.commit_time, message.commit_time)
    encoded, changed = features.encoded, message.features
    for name in change.features:
        changed[name] = encoded[name]
    for name, feature in change.late_features.items():
        message.late_features[name] = encode_feature(feature)
    message.late_appends.extend(change.late_appends)
    for name, operand in change.operands.items():
        known = dump_operand(name, operand, change)
        if known is not None:
            message.operands[name] = known
    message.has_operands = True
    message.removed.extend(change.removed)
    message.deleted = change.deleted
    message.actor = change.actor
    message.entity_type_revision = change.entity_type_revision
    if change.request_id is not None:
        message.request_id = str(change.request_id)
    return message.SerializeToString()
