"""Entity types in requests and answers."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any

from application.aggregate_check import Checked
from application.entity_types import Applied
from codec.entity_type import (
    ADDITIONAL_FEATURES,
    KINDS,
    LATE_POLICIES,
    decode_spec,
    encode_entity_type,
)
from domain.entity_type import AdditionalFeatures, EntityType, Rule
from domain.errors import FieldViolation, InvalidValue
from domain.feature_spec import FeatureSpec
from domain.limits import MAX_DESCRIPTION, MAX_TTL_SECONDS
from domain.timestamp import SECOND
from featom.v1 import entity_type_pb2 as pb
from featom.v1 import entity_type_service_pb2 as service_pb
from server.conversion.fields import Violations

_ROOM = 500_000
"""Characters of the texts of all differences: with the definition they must fit into an answer."""
_MIN_TEXT = 100


def read_entity_type(
    message: pb.EntityType, violations_of: Callable[[EntityType], Sequence[FieldViolation]]
) -> EntityType:
    """Read a definition. Raises InvalidValue with all that cannot be read and all that is wrong."""
    malformed = Violations()
    features = {}
    for name in sorted(message.features):
        spec = _read_spec(message.features[name], f"features[{name}]", malformed)
        if spec is not None:
            features[name] = spec
    additional = ADDITIONAL_FEATURES.get(message.additional_features)
    if additional is None:
        malformed.note("additional_features", "must be one that this server knows")
    # Of what cannot be read, nothing more can be said: so a rule may name it.
    if malformed or additional is None:
        additional = AdditionalFeatures.ALLOW
    definition = EntityType(
        name=message.name,
        features=features,
        rules=tuple(Rule(rule.name, rule.expression, rule.message) for rule in message.rules),
        additional_features=additional,
    )
    problems = [*malformed, *violations_of(definition)]
    if problems:
        raise InvalidValue(
            [FieldViolation(f"entity_type.{field}", text) for field, text in problems]
        )
    return definition


def read_type_etag(token: str, name: str, field: str, violations: Violations) -> int | None:
    """The revision that an etag names; None if it is empty."""
    if not token:
        return None
    try:
        body = base64.b64decode(token.strip('"') + "==", altchars=b"-_").decode()
        etag_name, _, revision = body.rpartition(":")
        if type_etag(etag_name, int(revision)) != token:
            raise ValueError
    except (ValueError, binascii.Error):
        violations.note(field, "is not an etag of an entity type")
        return None
    if etag_name != name:
        violations.note(field, f"is an etag of {etag_name}")
    return int(revision)


def type_etag(name: str, revision: int) -> str:
    token = base64.urlsafe_b64encode(f"{name}:{revision}".encode()).decode().rstrip("=")
    return f'"{token}"'


def with_etag(definition: EntityType) -> pb.EntityType:
    """An entity type as it is answered."""
    message = encode_entity_type(definition)
    if definition.revision:
        message.etag = type_etag(definition.name, definition.revision)
    return message


def apply_response(applied: Applied) -> bytes:
    response = service_pb.ApplyEntityTypeResponse(
        entity_type=with_etag(applied.entity_type), violating_aggregates=applied.violating
    )
    room = max(_MIN_TEXT, _ROOM // (2 * len(applied.differences) or 1))
    for path, before, after, compatible in applied.differences:
        response.differences.add(
            path=path, before=_cut(before, room), after=_cut(after, room), compatible=compatible
        )
    return response.SerializeToString()


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def check_response(checked: Checked, aggregates: int, token: str) -> bytes:
    response = service_pb.CheckAggregatesResponse(
        aggregates=aggregates, checked=checked.checked, next_page_token=token
    )
    for entity_id, violations in checked.violating:
        entry = response.violating.add(entity_id=entity_id)
        for sort, subject, description in violations:
            entry.violations.add(
                type=sort, subject=subject, description=_cut(description, MAX_DESCRIPTION)
            )
    return response.SerializeToString()


def _read_spec(message: pb.FeatureSpec, field: str, malformed: Violations) -> FeatureSpec | None:
    before = len(malformed)
    if message.type not in KINDS:
        malformed.note(f"{field}.type", "must be set, to one that this server knows")
    if message.late_policy not in LATE_POLICIES:
        malformed.note(f"{field}.late_policy", "must be one that this server knows")
    values: list[tuple[str, Any]] = [
        (name, getattr(message, name))
        for name in ("default_value", "minimum", "maximum")
        if message.HasField(name)
    ]
    values += [(f"allowed_values[{i}]", each) for i, each in enumerate(message.allowed_values)]
    for name, value in values:
        malformed.note(f"{field}.{name}", _value_problem(value))
    if message.HasField("ttl"):
        malformed.note(f"{field}.ttl", _ttl_problem(message.ttl))
    return decode_spec(message) if len(malformed) == before else None


def _value_problem(value: Any) -> str | None:
    kind = value.WhichOneof("kind")
    if kind is None:
        return "must have a value, of a kind that this server knows"
    if kind == "timestamp_value" and not 0 <= value.timestamp_value.nanos < SECOND:
        return "must have nanos from 0 to 999,999,999"
    return None


def _ttl_problem(ttl: Any) -> str | None:
    if not 0 <= ttl.nanos < SECOND or not 0 <= ttl.seconds <= MAX_TTL_SECONDS or not ttl.ByteSize():
        return "must be longer than nothing and no longer than 100 years"
    return None
