"""Transitions of an aggregate, in few words, and a compiler for rules on them."""

from collections.abc import Mapping
from typing import Any

from domain.entity_type import AdditionalFeatures, EntityType, Rule
from domain.feature import Feature
from domain.feature_spec import FeatureSpec
from domain.timestamp import SECOND
from domain.transition import Transition
from domain.values import FeatureValue, ValueKind
from repository.rules import CelCompiler

COMPILER = CelCompiler()
NOW = 1_700_000_000 * SECOND


class At(int):
    """A point in time, as the value of a feature."""


CLOSED = EntityType(
    name="customer",
    features={
        "n": FeatureSpec(kind=ValueKind.INT64),
        "x": FeatureSpec(kind=ValueKind.DOUBLE),
        "s": FeatureSpec(kind=ValueKind.STRING),
        "l": FeatureSpec(kind=ValueKind.INT64_LIST),
        "t": FeatureSpec(kind=ValueKind.TIMESTAMP),
    },
    additional_features=AdditionalFeatures.REJECT,
)

_KINDS = {
    bool: ValueKind.BOOL,
    int: ValueKind.INT64,
    float: ValueKind.DOUBLE,
    str: ValueKind.STRING,
    tuple: ValueKind.INT64_LIST,
    At: ValueKind.TIMESTAMP,
}


def features(values: Mapping[str, Any]) -> dict[str, Feature]:
    return {
        name: Feature(FeatureValue(_KINDS[type(each)], each), 0, 1) for name, each in values.items()
    }


def transition(
    before: Mapping[str, Any], changed: Mapping[str, Any], removed: tuple[str, ...] = ()
) -> Transition:
    return Transition("c-1", features(before), NOW, features(changed), removed, {})


def problem(expression: str, declared: EntityType = CLOSED) -> str:
    found = list(COMPILER.rule_problems([Rule("r", expression, "no")], declared))
    return found[0][1] if found else ""


def broken(
    expressions: str | list[str],
    before: Mapping[str, Any],
    changed: Mapping[str, Any],
    removed: tuple[str, ...] = (),
    *,
    recheck: bool = True,
) -> list[str]:
    texts = [expressions] if isinstance(expressions, str) else expressions
    rules = [Rule(f"r{number}", text, "no") for number, text in enumerate(texts)]
    compiled = COMPILER.compile_rules(rules, ())
    found = compiled.broken(transition(before, changed, removed), recheck=recheck)
    return [each.subject for each in found]
