"""What is wrong with the definition of an entity type, all of it at once.

Constraints that make no sense are found before any value is seen.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from domain.constraints import ConstraintCheck
from domain.entity_key import entity_type_problem
from domain.entity_type import EntityType
from domain.errors import FieldViolation
from domain.feature_spec import FeatureSpec
from domain.limits import LONGEST_NAME, MAX_PATTERN_LENGTH, MAX_PATTERNS_WEIGHT, MAX_RULES, Limits
from domain.rules import RuleCompiler
from domain.update import feature_name_problem
from domain.values import (
    ELEMENT_KINDS,
    FLOATING_KINDS,
    LIST_KINDS,
    ORDERED_KINDS,
    FeatureValue,
    ValueKind,
    value_problem,
)

RULE_NAME: Final = re.compile(rf"[A-Za-z_][A-Za-z0-9_.-]{{0,{LONGEST_NAME - 1}}}")
_BOUNDS: Final = ("minimum", "maximum")
_SIZED: Final = (ValueKind.STRING, ValueKind.BYTES, ValueKind.FLOAT_VECTOR, *ELEMENT_KINDS)
_TEXTS: Final = (ValueKind.STRING, ValueKind.STRING_LIST)


def entity_type_violations(
    definition: EntityType, compiler: RuleCompiler, limits: Limits
) -> list[FieldViolation]:
    """Everything that is wrong; the fields are paths from the entity type."""
    violations: list[FieldViolation] = []
    if problem := entity_type_problem(definition.name):
        violations.append(FieldViolation("name", problem))
    if len(definition.features) > limits.features:
        violations.append(FieldViolation("features", f"must not be more than {limits.features:,}"))
    patterns = [spec.pattern for spec in definition.features.values()]
    if sum(map(compiler.pattern_weight, patterns)) > MAX_PATTERNS_WEIGHT:
        # None of them is looked at closer: that would take long too.
        return [
            *violations,
            FieldViolation("features", "have patterns that take too long together"),
        ]
    for name, spec in definition.features.items():
        if problem := feature_name_problem(name):
            violations.append(FieldViolation(f"features[{name}]", problem))
        for field, problem in _spec_problems(spec, compiler):
            violations.append(FieldViolation(f"features[{name}].{field}", problem))
    violations += _rule_violations(definition, compiler)
    return violations


def _spec_problems(spec: FeatureSpec, compiler: RuleCompiler) -> Iterator[tuple[str, str]]:
    problems = list(spec_violations(spec))
    yield from problems
    if not spec.pattern or any(field == "pattern" for field, _ in problems):
        return
    if problem := compiler.pattern_problem(spec.pattern):
        yield "pattern", problem
        return
    pattern = compiler.compile_pattern(spec.pattern)
    for field, value in (
        ("default_value", spec.default_value),
        *((f"allowed_values[{i}]", value) for i, value in enumerate(spec.allowed_values)),
    ):
        texts = () if value is None else value.content
        texts = (texts,) if isinstance(texts, str) else texts
        if isinstance(texts, tuple) and not all(
            pattern.matches(text) for text in texts if isinstance(text, str)
        ):
            yield field, f"does not match {spec.pattern}"


def _rule_violations(definition: EntityType, compiler: RuleCompiler) -> Iterator[FieldViolation]:
    rules = definition.rules
    if len(rules) > MAX_RULES:
        yield FieldViolation("rules", f"must not be more than {MAX_RULES}")
        return
    names = Counter(rule.name for rule in rules)
    for index, rule in enumerate(rules):
        if not RULE_NAME.fullmatch(rule.name):
            yield FieldViolation(f"rules[{index}].name", f"must match {RULE_NAME.pattern}")
        if names[rule.name] > 1:
            yield FieldViolation(f"rules[{index}].name", f"{rule.name} is named more than once")
        if not rule.message.strip():
            yield FieldViolation(f"rules[{index}].message", "must not be empty")
    for index, problem in compiler.rule_problems(rules, definition):
        yield FieldViolation(f"rules[{index}].expression", problem)


def spec_violations(spec: FeatureSpec) -> Iterator[tuple[str, str]]:
    """Everything that is wrong with a specification: the field, and what is wrong with it.

    Whether the pattern is one is for the compiler of patterns to say.
    """
    wrong = [*_misplaced(spec), *_values_that_do_not_fit(spec)]
    yield from wrong
    # With a bound that is no bound nothing can be compared.
    no_bounds = {field: None for field, _ in wrong if field in _BOUNDS}
    yield from _contradictions(replace(spec, **no_bounds))


def _misplaced(spec: FeatureSpec) -> Iterator[tuple[str, str]]:
    name = spec.kind.value
    bounded = spec.element_kind in ORDERED_KINDS
    if not bounded:
        for field in _BOUNDS:
            if getattr(spec, field) is not None:
                yield field, f"makes no sense for {name}, which has no order"
    if spec.allowed_values and spec.kind is ValueKind.FLOAT_VECTOR:
        yield "allowed_values", f"makes no sense for {name}"
    if spec.max_length and spec.kind not in _SIZED:
        yield "max_length", f"makes no sense for {name}, which has no length"
    if spec.pattern and spec.kind not in _TEXTS:
        yield "pattern", f"makes no sense for {name}, which is no text"
    if spec.dimension and spec.kind is not ValueKind.FLOAT_VECTOR:
        yield "dimension", f"makes no sense for {name}, which is no vector"
    if spec.allow_non_finite and spec.kind not in FLOATING_KINDS:
        yield "allow_non_finite", f"makes no sense for {name}, which is always finite"


def _values_that_do_not_fit(spec: FeatureSpec) -> Iterator[tuple[str, str]]:
    wanted = spec.element_kind
    bounds = [(field, getattr(spec, field)) for field in _BOUNDS]
    for index, allowed in enumerate(spec.allowed_values):
        bounds.append((f"allowed_values[{index}]", allowed))
    for field, value in bounds:
        if value is not None and (problem := _value_problem(value, wanted)):
            yield field, problem
    if len(set(spec.allowed_values)) < len(spec.allowed_values):
        yield "allowed_values", "must not name a value twice"
    for field in ("max_length", "dimension", "ttl"):
        if getattr(spec, field) < 0:
            yield field, "must not be negative"
    if len(spec.pattern) > MAX_PATTERN_LENGTH:
        yield "pattern", f"must not be longer than {MAX_PATTERN_LENGTH:,} characters"


def _contradictions(spec: FeatureSpec) -> Iterator[tuple[str, str]]:
    low, high = spec.minimum, spec.maximum
    if low and high and low.kind is high.kind and low.content > high.content:
        yield "minimum", "is above the maximum"
    if spec.dimension and spec.max_length and spec.dimension > spec.max_length:
        yield "dimension", "is above max_length"
    check = ConstraintCheck("", spec)
    for index, allowed in enumerate(spec.allowed_values):
        if allowed.kind is spec.element_kind and check.violations(_as_kind(spec, allowed)):
            yield f"allowed_values[{index}]", "breaks the other constraints of this feature"
    if spec.default_value is not None:
        yield from _default_violations(spec, spec.default_value, check)


def _default_violations(
    spec: FeatureSpec, default: FeatureValue, check: ConstraintCheck
) -> Iterator[tuple[str, str]]:
    """`check` is that of the specification, the pattern aside."""
    if problem := _value_problem(default, spec.kind):
        yield "default_value", problem
    else:
        broken = check.violations(default)
        yield from (("default_value", violation.description) for violation in broken[:1])
    if spec.ttl:
        yield "default_value", "makes no sense with a ttl: a default does not expire"


def _value_problem(value: FeatureValue, wanted: ValueKind) -> str | None:
    if value.kind is not wanted:
        return f"must be {wanted.value}, is {value.kind.value}"
    return value_problem(value)


def _as_kind(spec: FeatureSpec, element: FeatureValue) -> FeatureValue:
    """An element as a value of the feature."""
    if spec.kind is element.kind:
        return element
    return FeatureValue(LIST_KINDS.get(element.kind, spec.kind), (element.content,))
