"""Entity types as messages: as they are stored, and as they are served."""

from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from codec.timestamps import decode_timestamp, encode_timestamp
from codec.values import decode_value, encode_value
from domain.entity_type import AdditionalFeatures, EntityType, Rule
from domain.feature_spec import FeatureSpec, LatePolicy
from domain.timestamp import SECOND
from domain.values import FeatureValue, ValueKind
from featom.v1 import entity_type_pb2 as pb
from featom.v1.value_pb2 import FeatureValue as ValueMessage

KINDS: Final = {
    number: ValueKind[name.removeprefix("FEATURE_TYPE_")]
    for name, number in pb.FeatureType.items()
    if number
}
LATE_POLICIES: Final = {
    number: LatePolicy[name.removeprefix("LATE_POLICY_") if number else "KEEP_NEWEST"]
    for name, number in pb.LatePolicy.items()
}
ADDITIONAL_FEATURES: Final = {
    number: AdditionalFeatures[name.removeprefix("ADDITIONAL_FEATURES_") if number else "ALLOW"]
    for name, number in pb.AdditionalFeatures.items()
}
# The last number of a member is its own; the first is UNSPECIFIED.
_KIND_NUMBERS: Final = {kind: number for number, kind in KINDS.items()}
_LATE_NUMBERS: Final = {policy: number for number, policy in LATE_POLICIES.items()}
_ADDITIONAL_NUMBERS: Final = {choice: number for number, choice in ADDITIONAL_FEATURES.items()}

_PLAIN: Final = (
    "required",
    "max_length",
    "pattern",
    "dimension",
    "allow_non_finite",
    "description",
)


def encode_entity_type(definition: EntityType) -> pb.EntityType:
    """The message of an entity type, without its etag."""
    message = pb.EntityType(name=definition.name, revision=definition.revision)
    message.additional_features = _ADDITIONAL_NUMBERS[definition.additional_features]
    for name, spec in definition.features.items():
        _encode_spec(spec, message.features[name])
    for rule in definition.rules:
        message.rules.add(name=rule.name, expression=rule.expression, message=rule.message)
    if definition.revision:
        encode_timestamp(definition.create_time, message.create_time)
        encode_timestamp(definition.update_time, message.update_time)
    return message


def decode_entity_type(message: pb.EntityType) -> EntityType:
    """Read an entity type that is known to be well formed."""
    return EntityType(
        name=message.name,
        features={name: decode_spec(message.features[name]) for name in sorted(message.features)},
        rules=tuple(Rule(rule.name, rule.expression, rule.message) for rule in message.rules),
        additional_features=ADDITIONAL_FEATURES[message.additional_features],
        revision=message.revision,
        create_time=decode_timestamp(message.create_time),
        update_time=decode_timestamp(message.update_time),
    )


def dump_entity_type(definition: EntityType) -> bytes:
    return encode_entity_type(definition).SerializeToString()


def load_entity_type(stored: bytes) -> EntityType:
    return decode_entity_type(pb.EntityType.FromString(stored))


def decode_spec(message: pb.FeatureSpec) -> FeatureSpec:
    return FeatureSpec(
        kind=KINDS[message.type],
        default_value=_value(message, "default_value"),
        minimum=_value(message, "minimum"),
        maximum=_value(message, "maximum"),
        allowed_values=tuple(map(decode_value, message.allowed_values)),
        late_policy=LATE_POLICIES[message.late_policy],
        ttl=message.ttl.seconds * SECOND + message.ttl.nanos,
        **{field: getattr(message, field) for field in _PLAIN},
    )


def _encode_spec(spec: FeatureSpec, into: pb.FeatureSpec) -> None:
    into.type = _KIND_NUMBERS[spec.kind]
    into.late_policy = _LATE_NUMBERS[spec.late_policy]
    for field in ("default_value", "minimum", "maximum"):
        value: FeatureValue | None = getattr(spec, field)
        if value is not None:
            encode_value(value, getattr(into, field))
    for value in spec.allowed_values:
        encode_value(value, into.allowed_values.add())
    if spec.ttl:
        into.ttl.CopyFrom(_duration(spec.ttl))
    for field in _PLAIN:
        setattr(into, field, getattr(spec, field))


def _value(message: Any, field: str) -> FeatureValue | None:
    if not message.HasField(field):
        return None
    value: ValueMessage = getattr(message, field)
    return decode_value(value)


def _duration(nanoseconds: int) -> Duration:
    seconds, nanos = divmod(nanoseconds, SECOND)
    return Duration(seconds=seconds, nanos=nanos)
