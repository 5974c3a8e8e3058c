"""Plain definitions and updates as the contract's messages, and what comes back."""

from typing import Any, NamedTuple

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure
from google.rpc.status_pb2 import Status

from featom.v1 import entity_type_pb2 as types_pb
from featom.v1 import feature_store_pb2 as pb
from featom.v1.value_pb2 import FeatureValue
from tests.consistency.rules.plain_type import (
    Item,
    PlainSpec,
    PlainType,
    PlainUpdate,
    Stored,
    Value,
)


class Refusal(NamedTuple):
    """What a refused caller is told."""

    reason: str
    named: frozenset[tuple[str, str]]
    """Sort and subject of each violation; the sort of a wrong field is FIELD."""
    all_named: bool
    """Whether as many are listed as the metadata says there are."""
    text: str = ""


def refusal_in(status: Status) -> Refusal:
    info, invalid, broken = ErrorInfo(), BadRequest(), PreconditionFailure()
    for detail in status.details:
        for message in (info, invalid, broken):
            detail.Unpack(message)
    listed = [("FIELD", each.field) for each in invalid.field_violations]
    listed += [(each.type, each.subject) for each in broken.violations]
    told = info.metadata.get("violations", "0")
    return Refusal(info.reason, frozenset(listed), told == str(len(listed)), status.message)


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """What an error of a call says; without a reason if it is gRPC's own."""
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin" and isinstance(value, bytes):
            return refusal_in(Status.FromString(value))
    return Refusal("", frozenset(), True, f"{error.code()}: {error.details()}")


def type_message(definition: PlainType) -> types_pb.EntityType:
    message = types_pb.EntityType(name=definition.name)
    if definition.closed:
        message.additional_features = types_pb.ADDITIONAL_FEATURES_REJECT
    for name, spec in definition.specs.items():
        _write_spec(message.features[name], spec)
    for rule in definition.rules:
        message.rules.add(name=rule.name, expression=rule.expression, message="does not hold")
    return message


def update_message(update: PlainUpdate) -> pb.UpdateFeaturesRequest:
    message = pb.UpdateFeaturesRequest()
    message.key.entity_type, message.key.entity_id = update.entity_type, update.entity_id
    for item in update.items:
        _write_item(message.updates.add(name=item.name), item)
    return message


def stored_of(feature: Any) -> Stored:
    """A Feature message of a state or a change."""
    kind = feature.value.WhichOneof("kind")
    content = getattr(feature.value, kind)
    if kind == "timestamp_value":
        content = content.ToNanoseconds()
    elif hasattr(content, "values"):
        content = tuple(content.values)
    return Stored(Value(kind, content), feature.event_time.ToNanoseconds())


def _write_spec(into: types_pb.FeatureSpec, spec: PlainSpec) -> None:
    kind = spec.kind.removesuffix("_value").upper()
    into.type = types_pb.FeatureType.Value(f"FEATURE_TYPE_{kind}")
    into.required, into.allow_non_finite = spec.required, spec.non_finite
    into.max_length, into.pattern, into.dimension = spec.max_length, spec.pattern, spec.dimension
    into.late_policy = types_pb.LatePolicy.Value(f"LATE_POLICY_{spec.late}")
    element = (
        "double_value" if spec.kind == "float_vector" else spec.kind.replace("_list", "_value")
    )
    if spec.default is not None:
        _write_value(into.default_value, Value(spec.kind, spec.default))
    if spec.minimum is not None:
        _write_value(into.minimum, Value(element, spec.minimum))
    if spec.maximum is not None:
        _write_value(into.maximum, Value(element, spec.maximum))
    for content in spec.allowed:
        _write_value(into.allowed_values.add(), Value(element, content))
    if spec.ttl:
        into.ttl.FromNanoseconds(spec.ttl)


def _write_item(into: pb.FeatureUpdate, item: Item) -> None:
    if item.event_time is not None:
        into.event_time.FromNanoseconds(item.event_time)
    if item.value is None:
        into.remove = True
    elif item.verb == "append":
        into.append.max_length = item.max_length
        _write_value(into.append.value, item.value)
    else:
        _write_value(getattr(into, item.verb), item.value)


def _write_value(into: FeatureValue, value: Value) -> None:
    if value.kind == "timestamp_value":
        into.timestamp_value.FromNanoseconds(value.content)
    elif isinstance(value.content, tuple):
        elements = getattr(into, value.kind)
        elements.SetInParent()
        elements.values.extend(value.content)
    else:
        setattr(into, value.kind, value.content)
