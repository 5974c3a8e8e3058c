"""Files of entity types: reading them, and writing one."""

from pathlib import Path
from typing import Any

import yaml

from cli.entity_type_files.reading import DocumentReader
from cli.entity_type_files.values import TYPE_NAMES, from_value
from domain.value_text import duration_text
from featom.v1 import entity_type_pb2 as pb
from formats.strict_yaml import StrictLoader


class DefinitionRefused(Exception):
    """A file is not a definition; the message says where and why, for people."""

    def __init__(self, message: str) -> None:
        # Half of a surrogate pair, which YAML can say, cannot be printed.
        super().__init__(message.encode(errors="backslashreplace").decode())


def read_definitions(path: Path) -> list[pb.EntityType]:
    """Read a file, or every *.yaml file of a folder. Raises DefinitionRefused or OSError."""
    if path.is_dir():
        files = sorted(path.glob("*.yaml"))
        if not files:
            raise DefinitionRefused(f"{path}: there is no *.yaml file in it")
        return [each for file in files for each in read_definitions(file)]
    try:
        documents = list(yaml.load_all(path.read_text(encoding="utf-8"), StrictLoader))
    except RecursionError as error:
        raise DefinitionRefused(f"{path}: is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:
        raise DefinitionRefused(f"{path}: {error}") from error
    read = [DocumentReader().read(document) for document in documents if document is not None]
    problems = [problem for reader in read for problem in reader.problems]
    if problems or not read:
        listed = "\n  ".join(problems or ["there is no entity type in it"])
        raise DefinitionRefused(f"{path}:\n  {listed}")
    return [reader.message for reader in read]


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
