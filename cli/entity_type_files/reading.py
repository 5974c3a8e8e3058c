"""Entity types from YAML documents."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from cli.entity_type_files.values import TYPES, element_type, shown, to_value
from domain.timestamp import SECOND
from featom.v1 import entity_type_pb2 as pb

_UNITS: Final = {
    "ms": 10**6,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3_600 * SECOND,
    "d": 86_400 * SECOND,
}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)")
_PLAIN: Final = {
    "required": bool,
    "max_length": int,
    "pattern": str,
    "dimension": int,
    "allow_non_finite": bool,
    "description": str,
}
_RULE: Final = {"name", "expression", "message"}


class DocumentReader:
    """One document on its way to a message."""

    def __init__(self) -> None:
        self.message = pb.EntityType()
        self.problems: list[str] = []

    def read(self, document: Any) -> "DocumentReader":
        fields = self._mapping(document, "")
        if name := self._take(fields, "name", str, ""):
            self._set(self.message, "name", name, "")
        else:
            self.problems.append("name: must be set")
        choice = self._take(fields, "additional_features", str, "")
        if choice is not None:
            self._choose(self.message, "additional_features", pb.AdditionalFeatures, choice, "")
        features = fields.pop("features", None)
        for name, spec in self._mapping({} if features is None else features, "features").items():
            self._read_feature(name, spec)
        rules = fields.pop("rules", None)
        self._read_rules([] if rules is None else rules)
        self._refuse(fields, "")
        return self

    def _read_feature(self, name: Any, document: Any) -> None:
        path = f"features.{name}"
        # YAML takes a bare `on`, `no` or `1` for something else than a text.
        if isinstance(name, str):
            try:
                self._read_spec(self.message.features[name], document, path)
            except UnicodeEncodeError:
                self.problems.append(f"{path}: is no text")
        else:
            self.problems.append(f"{path}: must be a text; put the name into quotes")

    def _read_spec(self, into: pb.FeatureSpec, document: Any, path: str) -> None:
        fields = self._mapping(document, path)
        type_name = str(fields.pop("type", ""))
        if type_name not in TYPES:
            self.problems.append(f"{path}.type: must be one of {', '.join(TYPES)}")
            return
        into.type = TYPES[type_name]
        for field, sort in _PLAIN.items():
            content = self._take(fields, field, sort, path)
            if content is not None:
                self._set(into, field, content, path)
        self._read_values(into, fields, type_name, path)
        if (policy := self._take(fields, "late_policy", str, path)) is not None:
            self._choose(into, "late_policy", pb.LatePolicy, policy, path)
        if (ttl := fields.pop("ttl", None)) is not None:
            self._read_ttl(into, str(ttl), f"{path}.ttl")
        self._refuse(fields, path)

    def _read_values(
        self, into: pb.FeatureSpec, fields: dict[Any, Any], type_name: str, path: str
    ) -> None:
        allowed = fields.pop("allowed_values", [])
        if not isinstance(allowed, list):
            self.problems.append(f"{path}.allowed_values: must be a list")
            allowed = []
        element = element_type(type_name)
        wanted = [("default_value", type_name), ("minimum", element), ("maximum", element)]
        for field, sort in wanted:
            if (content := fields.pop(field, None)) is not None:
                for value in self._value(content, sort, f"{path}.{field}"):
                    getattr(into, field).CopyFrom(value)
        for index, content in enumerate(allowed):
            into.allowed_values.extend(
                self._value(content, element, f"{path}.allowed_values[{index}]")
            )

    def _value(self, content: Any, type_name: str, path: str) -> Iterator[Any]:
        try:
            yield to_value(content, type_name)
        except (ValueError, OverflowError) as error:
            self.problems.append(f"{path}: {error}")

    def _read_ttl(self, into: pb.FeatureSpec, text: str, path: str) -> None:
        found = _DURATION.fullmatch(text.strip())
        if found is None:
            self.problems.append(f"{path}: must be a duration such as 90s, 15m, 24h or 7d")
            return
        try:
            into.ttl.FromNanoseconds(round(Decimal(found[1]) * _UNITS[found[2]]))
        except (ValueError, ArithmeticError):
            self.problems.append(f"{path}: is too long")

    def _read_rules(self, document: Any) -> None:
        if not isinstance(document, list):
            self.problems.append("rules: must be a list")
            return
        for index, item in enumerate(document):
            path = f"rules[{index}]"
            fields = self._mapping(item, path)
            rule = self.message.rules.add()
            for field in sorted(_RULE):
                content = self._take(fields, field, str, path)
                self._set(rule, field, (content or "").strip(), path)
            self._refuse(fields, path)

    def _set(self, into: Any, field: str, content: Any, path: str) -> None:
        try:
            setattr(into, field, content)
        except ValueError:  # an int that is too large, or half of a surrogate pair
            self.problems.append(f"{_under(path, field)}: cannot be {shown(content)}")

    def _choose(self, into: Any, field: str, enum: Any, choice: str, path: str) -> None:
        prefix = {"late_policy": "LATE_POLICY_"}.get(field, "ADDITIONAL_FEATURES_")
        choices = [name.removeprefix(prefix).lower() for name in enum.keys()[1:]]
        if choice in choices:
            setattr(into, field, enum.Value(prefix + choice.upper()))
        else:
            listed = ", ".join(choices)
            self.problems.append(f"{_under(path, field)}: must be one of {listed}")

    def _take(self, fields: dict[Any, Any], field: str, sort: type, path: str) -> Any:
        content = fields.pop(field, None)
        if content is None or type(content) is sort:
            return content
        self.problems.append(f"{_under(path, field)}: must be {sort.__name__}, is {shown(content)}")
        return None

    def _mapping(self, document: Any, path: str) -> dict[Any, Any]:
        if isinstance(document, dict):
            return dict(document)
        self.problems.append(f"{path or 'the file'}: must be a mapping")
        return {}

    def _refuse(self, unknown: dict[Any, Any], path: str) -> None:
        self.problems += [
            f"{_under(path, str(field))}: there is no such field" for field in unknown
        ]


def _under(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field
