"""What is wrong with the definition of an entity type, all of it at once."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from domain.entity_key import entity_type_problem
from domain.entity_type import EntityType
from domain.errors import FieldViolation
from domain.feature_spec import FeatureSpec
from domain.limits import LONGEST_NAME, MAX_PATTERNS_WEIGHT, MAX_RULES, Limits
from domain.rules import RuleCompiler
from domain.spec_violations import spec_violations
from domain.update import feature_name_problem

RULE_NAME: Final = re.compile(rf"[A-Za-z_][A-Za-z0-9_.-]{{0,{LONGEST_NAME - 1}}}")


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
