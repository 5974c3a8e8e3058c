"""Entity types as YAML."""

from typing import Any

import yaml

from cli.entity_type_files.values import TYPE_NAMES, from_value
from domain.value_text import duration_text
from featom.v1 import entity_type_pb2 as pb


def write_definition(message: pb.EntityType) -> str:
    """A definition that reads back as the same."""
    document: dict[str, Any] = {"name": message.name}
    if message.additional_features == pb.ADDITIONAL_FEATURES_REJECT:
        document["additional_features"] = "reject"
    if message.features:
        document["features"] = {
            name: _spec(message.features[name]) for name in sorted(message.features)
        }
    if message.rules:
        document["rules"] = [
            {"name": rule.name, "expression": rule.expression, "message": rule.message}
            for rule in message.rules
        ]
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return text


def _spec(message: pb.FeatureSpec) -> dict[str, Any]:
    spec: dict[str, Any] = {"type": TYPE_NAMES[message.type]}
    if message.description:
        spec["description"] = message.description
    for field in ("required", "max_length", "pattern", "dimension", "allow_non_finite"):
        if content := getattr(message, field):
            spec[field] = content
    values = {field.name: value for field, value in message.ListFields()}
    for name in ("default_value", "minimum", "maximum"):
        if name in values:
            spec[name] = from_value(values[name])
    if message.allowed_values:
        spec["allowed_values"] = [from_value(each) for each in message.allowed_values]
    if message.late_policy not in (pb.LATE_POLICY_UNSPECIFIED, pb.LATE_POLICY_KEEP_NEWEST):
        spec["late_policy"] = pb.LatePolicy.Name(message.late_policy)[12:].lower()
    if message.HasField("ttl"):
        spec["ttl"] = duration_text(message.ttl.ToNanoseconds())
    return spec
