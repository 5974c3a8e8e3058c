"""Each constraint at its boundary, for every kind that it makes sense for, and for the others."""

import math
from typing import Any

import pytest

from domain.constraints import ConstraintCheck
from domain.entity_type import EntityType
from domain.entity_type_violations import spec_violations
from domain.feature import Feature
from domain.feature_spec import FeatureSpec
from domain.policy import Policy
from domain.values import FeatureValue, ValueKind
from repository.rules import CelCompiler
from tests.kit.effort import at_once

COMPILER = CelCompiler()
K = ValueKind


def value(kind: ValueKind, content: Any) -> FeatureValue:
    return FeatureValue(kind, content)


def spec_of(kind: ValueKind, **constraints: Any) -> FeatureSpec:
    """Bounds, defaults and allowed values may be given by their content."""
    element = FeatureSpec(kind=kind).element_kind
    for field in ("minimum", "maximum"):
        if field in constraints:
            constraints[field] = value(element, constraints[field])
    if "allowed_values" in constraints:
        allowed = constraints["allowed_values"]
        constraints["allowed_values"] = tuple(value(element, each) for each in allowed)
    if "default_value" in constraints:
        constraints["default_value"] = value(kind, constraints["default_value"])
    return FeatureSpec(kind=kind, **constraints)


def broken(spec: FeatureSpec, content: Any, kind: ValueKind | None = None) -> list[str]:
    pattern = COMPILER.compile_pattern(spec.pattern) if spec.pattern else None
    check = ConstraintCheck("f", spec, pattern)
    return [each.type for each in check.violations(value(kind or spec.kind, content))]


ACCEPTED_AND_REFUSED = [
    (K.INT64, {"minimum": 3}, 3, 2, "RANGE"),
    (K.INT64, {"maximum": 2**62 + 1}, 2**62 + 1, 2**62 + 2, "RANGE"),
    (K.DOUBLE, {"minimum": 0.5}, 0.5, math.nextafter(0.5, 0), "RANGE"),
    (K.DOUBLE, {"maximum": 0.5}, 0.5, math.nextafter(0.5, 1), "RANGE"),
    (K.DOUBLE, {"maximum": 1.0, "allow_non_finite": True}, 1.0, math.nan, "RANGE"),
    (K.DOUBLE, {"maximum": 1.0, "allow_non_finite": True}, -math.inf, math.inf, "RANGE"),
    (K.DOUBLE, {}, 1e308, math.inf, "NON_FINITE"),
    (K.DOUBLE_LIST, {}, (1.0,), (1.0, math.nan), "NON_FINITE"),
    (K.FLOAT_VECTOR, {}, (1.0,), (-math.inf,), "NON_FINITE"),
    (K.TIMESTAMP, {"minimum": 10}, 10, 9, "RANGE"),
    (K.TIMESTAMP, {"maximum": 10}, 10, 11, "RANGE"),
    (K.INT64_LIST, {"minimum": 0}, (0, 1), (1, -1), "RANGE"),
    (K.DOUBLE_LIST, {"maximum": 1.0}, (), (1.0, 1.5), "RANGE"),
    (K.FLOAT_VECTOR, {"minimum": 0.0}, (0.0,), (-0.5,), "RANGE"),
    (K.BOOL, {"allowed_values": [True]}, True, False, "ALLOWED_VALUES"),
    (K.INT64, {"allowed_values": [1, 2]}, 2, 3, "ALLOWED_VALUES"),
    (K.DOUBLE, {"allowed_values": [1.5]}, 1.5, 1.0, "ALLOWED_VALUES"),
    (K.STRING, {"allowed_values": ["a", "b"]}, "b", "c", "ALLOWED_VALUES"),
    (K.BYTES, {"allowed_values": [b"a"]}, b"a", b"", "ALLOWED_VALUES"),
    (K.TIMESTAMP, {"allowed_values": [7]}, 7, 8, "ALLOWED_VALUES"),
    (K.STRING_LIST, {"allowed_values": ["a"]}, ("a", "a"), ("a", "b"), "ALLOWED_VALUES"),
    (K.BOOL_LIST, {"allowed_values": [True]}, (True,), (False,), "ALLOWED_VALUES"),
    (K.STRING, {"max_length": 2}, "ü😀", "abc", "MAX_LENGTH"),
    (K.BYTES, {"max_length": 2}, b"ab", b"abc", "MAX_LENGTH"),
    (K.INT64_LIST, {"max_length": 2}, (1, 2), (1, 2, 3), "MAX_LENGTH"),
    (K.FLOAT_VECTOR, {"max_length": 1}, (1.0,), (1.0, 2.0), "MAX_LENGTH"),
    (K.STRING, {"pattern": "[A-Z]{3}"}, "EUR", "EURO", "PATTERN"),
    (K.STRING, {"pattern": "a|bc"}, "bc", "ac", "PATTERN"),
    (K.STRING, {"pattern": "a*"}, "", "a\n", "PATTERN"),
    (K.STRING_LIST, {"pattern": "a+"}, ("a", "aa"), ("a", "b"), "PATTERN"),
    (K.FLOAT_VECTOR, {"dimension": 2}, (1.0, 2.0), (1.0,), "DIMENSION"),
]


@pytest.mark.parametrize(
    ("kind", "constraints", "accepted", "refused", "sort"), ACCEPTED_AND_REFUSED
)
def test_a_constraint_draws_its_line_exactly(
    kind: ValueKind, constraints: dict[str, Any], accepted: Any, refused: Any, sort: str
) -> None:
    spec = spec_of(kind, **constraints)
    assert list(spec_violations(spec)) == []
    assert broken(spec, accepted) == []
    assert broken(spec, refused) == [sort]


@pytest.mark.parametrize("kind", ValueKind)
@pytest.mark.parametrize("other", ValueKind)
def test_a_stored_value_of_another_kind_breaks_the_type(kind: ValueKind, other: ValueKind) -> None:
    content: Any = () if "list" in other.value or "vector" in other.value else 0
    if other is not kind:
        assert broken(FeatureSpec(kind=kind), content, other) == ["TYPE"]


SENSELESS = [
    (K.BOOL, {"pattern": "x"}, "pattern"),
    (K.INT64, {"pattern": "x"}, "pattern"),
    (K.BYTES, {"pattern": "x"}, "pattern"),
    (K.BOOL, {"minimum": True}, "minimum"),
    (K.STRING, {"maximum": "x"}, "maximum"),
    (K.STRING_LIST, {"minimum": "x"}, "minimum"),
    (K.BOOL, {"max_length": 1}, "max_length"),
    (K.TIMESTAMP, {"max_length": 1}, "max_length"),
    (K.DOUBLE_LIST, {"dimension": 3}, "dimension"),
    (K.INT64, {"allow_non_finite": True}, "allow_non_finite"),
    (K.FLOAT_VECTOR, {"allowed_values": [1.0]}, "allowed_values"),
    (K.INT64, {"minimum": 2, "maximum": 1}, "minimum"),
    (K.DOUBLE, {"minimum": math.nan}, "minimum"),
    (K.DOUBLE, {"maximum": math.inf}, "maximum"),
    (K.INT64, {"maximum": 1, "default_value": 2}, "default_value"),
    (K.STRING, {"allowed_values": ["a"], "default_value": "b"}, "default_value"),
    (K.INT64, {"ttl": 1, "default_value": 2}, "default_value"),
    (K.DOUBLE, {"default_value": math.nan}, "default_value"),
    (K.DOUBLE, {"default_value": math.nan, "allow_non_finite": True}, "default_value"),
    (K.INT64, {"allowed_values": [1, 1]}, "allowed_values"),
    (K.INT64, {"minimum": 1, "allowed_values": [0, 1]}, "allowed_values[0]"),
    (K.STRING_LIST, {"max_length": -1}, "max_length"),
    (K.FLOAT_VECTOR, {"dimension": 3, "max_length": 2}, "dimension"),
    (K.STRING, {"pattern": "x" * 1_001}, "pattern"),
]


@pytest.mark.parametrize(("kind", "constraints", "field"), SENSELESS)
def test_a_constraint_that_makes_no_sense_is_refused(
    kind: ValueKind, constraints: dict[str, Any], field: str
) -> None:
    assert field in [name for name, _ in spec_violations(spec_of(kind, **constraints))]


def test_many_allowed_values_are_judged_at_once() -> None:
    spec = spec_of(K.INT64, allowed_values=range(50_000))
    with at_once():
        assert list(spec_violations(spec)) == []


@pytest.mark.parametrize("field", ["minimum", "maximum"])
@pytest.mark.parametrize(
    ("kind", "content", "bound"),
    [
        (K.BYTES, b"red", value(K.BYTES, b"red")),
        (K.STRING, "red", value(K.INT64, 1)),
        (K.STRING_LIST, ("red",), value(K.STRING, "red")),
        (K.INT64, 1, value(K.STRING, "red")),
        (K.TIMESTAMP, 1, value(K.BYTES, b"red")),
    ],
    ids=lambda each: each.value if isinstance(each, K) else None,
)
def test_a_bound_that_is_none_is_refused_also_where_there_is_a_value_to_judge(
    kind: ValueKind, content: Any, bound: FeatureValue, field: str
) -> None:
    bounds: dict[str, Any] = {field: bound}
    spec = FeatureSpec(kind=kind, default_value=value(kind, content), **bounds)
    assert {name for name, _ in spec_violations(spec)} == {field}


def test_a_bound_of_another_kind_is_refused() -> None:
    spec = FeatureSpec(kind=K.INT64, minimum=value(K.DOUBLE, 1.0))
    assert list(spec_violations(spec)) == [("minimum", "must be int64_value, is double_value")]


def test_all_that_makes_no_sense_is_said_at_once() -> None:
    spec = spec_of(K.BOOL, pattern="x", max_length=1, dimension=2, allow_non_finite=True)
    fields = {field for field, _ in spec_violations(spec)}
    assert fields == {"pattern", "max_length", "dimension", "allow_non_finite"}


def test_a_list_of_too_many_texts_for_its_pattern_is_refused_at_once() -> None:
    spec = FeatureSpec(kind=K.STRING_LIST, pattern="[a-z]{1,500}[0-9]+")
    definition = EntityType(name="t", features={"l": spec, "m": spec}, revision=1)
    policy = Policy(definition, COMPILER)

    def found(**texts: int) -> list[tuple[str, str, str]]:
        features = {
            name: Feature(value(K.STRING_LIST, tuple(f"{name}{n}" for n in range(count))), 0, 1)
            for name, count in texts.items()
        }
        return list(policy.state_violations("e", features, 0))

    with at_once():
        said = "has so many texts that to match them would take too long"
        assert found(l=100_000, m=2) == [("PATTERN", "l", said), ("PATTERN", "m", said)]
        assert found(l=30, m=30) == [("PATTERN", "m", said)]
    assert found(l=10, m=10) == []
