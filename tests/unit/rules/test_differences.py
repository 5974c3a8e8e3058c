"""What a change of an entity type changes, and which changes no valid aggregate can break."""

from typing import Any

import pytest
from msgspec.structs import replace

from domain.differences import differences
from domain.entity_type import AdditionalFeatures, EntityType, Rule
from domain.feature_spec import FeatureSpec, LatePolicy
from domain.timestamp import SECOND
from domain.values import FeatureValue, ValueKind

RULE = Rule("r", "true", "no")


def number(content: int) -> FeatureValue:
    return FeatureValue(ValueKind.INT64, content)


def spec(**constraints: Any) -> FeatureSpec:
    return FeatureSpec(kind=ValueKind.INT64, **constraints)


@pytest.mark.parametrize(
    ("before", "after", "path", "compatible"),
    [
        (spec(minimum=number(1)), spec(minimum=number(0)), "minimum", True),
        (spec(minimum=number(1)), spec(), "minimum", True),
        (spec(minimum=number(0)), spec(minimum=number(1)), "minimum", False),
        (spec(), spec(minimum=number(1)), "minimum", False),
        (spec(maximum=number(1)), spec(maximum=number(2)), "maximum", True),
        (spec(maximum=number(2)), spec(maximum=number(1)), "maximum", False),
        (spec(), spec(required=True), "required", False),
        (spec(required=True), spec(), "required", True),
        (spec(), spec(default_value=number(1)), "default_value", False),
        (spec(default_value=number(1)), spec(), "default_value", False),
        (spec(allowed_values=(number(1),)), spec(), "allowed_values", True),
        (spec(), spec(allowed_values=(number(1),)), "allowed_values", False),
        (spec(max_length=2), spec(max_length=3), "max_length", True),
        (spec(max_length=2), spec(max_length=0), "max_length", True),
        (spec(max_length=3), spec(max_length=2), "max_length", False),
        (spec(), spec(max_length=2), "max_length", False),
        (spec(pattern="a"), spec(pattern="b"), "pattern", False),
        (spec(pattern="a"), spec(), "pattern", True),
        (spec(dimension=1), spec(dimension=2), "dimension", False),
        (spec(allow_non_finite=True), spec(), "allow_non_finite", False),
        (spec(), spec(late_policy=LatePolicy.REJECT), "late_policy", True),
        (spec(), spec(ttl=SECOND), "ttl", False),
        (spec(), spec(description="x"), "description", True),
        (spec(), FeatureSpec(kind=ValueKind.DOUBLE), "type", False),
    ],
)
def test_a_change_of_a_feature(
    before: FeatureSpec, after: FeatureSpec, path: str, compatible: bool
) -> None:
    old, new = (EntityType(name="t", features={"f": each}) for each in (before, after))
    (found,) = differences(old, new)
    assert (found.path, found.compatible) == (f"features.f.{path}", compatible)


CLOSED = EntityType(name="t", additional_features=AdditionalFeatures.REJECT)
OPEN = EntityType(name="t")


@pytest.mark.parametrize(
    ("before", "after", "path", "compatible"),
    [
        (CLOSED, replace(CLOSED, features={"f": spec()}), "features.f", True),
        (CLOSED, replace(CLOSED, features={"f": spec(required=True)}), "features.f", False),
        (
            CLOSED,
            replace(CLOSED, features={"f": spec(default_value=number(1))}),
            "features.f",
            False,
        ),
        (OPEN, replace(OPEN, features={"f": spec()}), "features.f", False),
        (replace(OPEN, features={"f": spec()}), OPEN, "features.f", True),
        (replace(CLOSED, features={"f": spec()}), CLOSED, "features.f", False),
        (OPEN, CLOSED, "additional_features", False),
        (CLOSED, OPEN, "additional_features", True),
        (OPEN, replace(OPEN, rules=(RULE,)), "rules.r", False),
        (replace(OPEN, rules=(RULE,)), OPEN, "rules.r", True),
        (
            replace(OPEN, rules=(RULE,)),
            replace(OPEN, rules=(RULE._replace(message="new"),)),
            "rules.r",
            True,
        ),
        (
            replace(OPEN, rules=(RULE,)),
            replace(OPEN, rules=(RULE._replace(expression="1 > 0"),)),
            "rules.r",
            False,
        ),
        (None, OPEN, "name", True),
    ],
)
def test_a_change_of_a_type(
    before: EntityType | None, after: EntityType, path: str, compatible: bool
) -> None:
    (found,) = differences(before, after)
    assert (found.path, found.compatible) == (path, compatible)


def test_what_is_the_same_has_no_differences() -> None:
    assert differences(CLOSED, replace(CLOSED, revision=7)) == []
