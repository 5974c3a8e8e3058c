"""What is wrong with a definition as a whole is said with its place, and all of it at once."""

from typing import Any

import pytest

from domain.entity_type import EntityType, Rule
from domain.entity_type_violations import entity_type_violations
from domain.feature_spec import FeatureSpec
from domain.limits import MAX_RULES, Limits
from domain.values import FeatureValue, ValueKind
from repository.rules import CelCompiler
from tests.kit.effort import at_once

COMPILER = CelCompiler()
ANY = FeatureSpec(kind=ValueKind.INT64)


def text(**constraints: Any) -> dict[str, FeatureSpec]:
    return {"f": FeatureSpec(kind=ValueKind.STRING, **constraints)}


def words(*contents: str) -> tuple[FeatureValue, ...]:
    return tuple(FeatureValue(ValueKind.STRING, content) for content in contents)


def lists(*contents: str) -> FeatureValue:
    return FeatureValue(ValueKind.STRING_LIST, contents)


def rule(name: str = "r", expression: str = "true", message: str = "no") -> Rule:
    return Rule(name, expression, message)


def wrong(definition: EntityType) -> dict[str, str]:
    return dict(entity_type_violations(definition, COMPILER, Limits(features=3)))


WRONG = [
    ({"name": "Customer"}, "name"),
    ({"name": ""}, "name"),
    ({"features": {f"f{n}": ANY for n in range(4)}}, "features"),
    ({"features": {"a b": ANY}}, "features[a b]"),
    ({"features": {"ü": ANY}}, "features[ü]"),
    ({"features": text(pattern="(")}, "features[f].pattern"),
    ({"features": text(pattern="a", default_value=words("b")[0])}, "features[f].default_value"),
    (
        {"features": text(pattern="a", allowed_values=words("a", "b"))},
        "features[f].allowed_values[1]",
    ),
    (
        {
            "features": {
                "f": FeatureSpec(
                    kind=ValueKind.STRING_LIST, pattern="a", default_value=lists("a", "b")
                )
            }
        },
        "features[f].default_value",
    ),
    ({"features": text(ttl=-1)}, "features[f].ttl"),
    ({"features": text(max_length=-1)}, "features[f].max_length"),
    (
        {"features": {"f": FeatureSpec(kind=ValueKind.FLOAT_VECTOR, dimension=-1)}},
        "features[f].dimension",
    ),
    ({"rules": [rule(f"r{n}") for n in range(MAX_RULES + 1)]}, "rules"),
    ({"rules": [rule("a b")]}, "rules[0].name"),
    ({"rules": [rule(""), rule()]}, "rules[0].name"),
    ({"rules": [rule(message=" ")]}, "rules[0].message"),
    ({"rules": [rule(), rule("s", "1")]}, "rules[1].expression"),
]


@pytest.mark.parametrize(("parts", "field"), WRONG)
def test_what_is_wrong_is_said_with_its_place(parts: dict[str, Any], field: str) -> None:
    assert list(wrong(EntityType(**{"name": "customer"} | parts))) == [field]


def test_a_rule_that_is_named_twice_is_named_at_each_place() -> None:
    definition = EntityType(name="customer", rules=(rule(), rule("s"), rule()))
    assert list(wrong(definition)) == ["rules[0].name", "rules[2].name"]


def test_patterns_are_bounded_together() -> None:
    heavy = FeatureSpec(kind=ValueKind.STRING, pattern=r"\pL+\pL+\pL+")
    definition = EntityType(name="customer", features={f"f{n}": heavy for n in range(1_000)})
    with at_once():
        found = dict(entity_type_violations(definition, COMPILER, Limits()))
    assert found == {"features": "have patterns that take too long together"}


def test_a_sound_definition_has_nothing_wrong() -> None:
    definition = EntityType(
        name="customer",
        features=text(
            pattern="[a-z]+", default_value=words("a")[0], allowed_values=words("a", "b")
        ),
        rules=(rule(expression="has(features.f)"),),
    )
    assert wrong(definition) == {}
