"""Compiles rules and patterns, and says what is wrong with them.

An expression is bounded before it is evaluated: its length here, its nesting by the runtime, the
iterations of macros by the runtime and by what `reading` refuses. Patterns are RE2's, which match
in linear time.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from cel_expr_python import cel

from domain.constraints import TextPattern
from domain.entity_type import AdditionalFeatures, EntityType, Rule
from domain.feature import Feature
from domain.limits import (
    MAX_REGEX_WEIGHT,
    MAX_REGEXES_WEIGHT,
    MAX_RULE_LENGTH,
    MAX_RULES_COST,
    MAX_RULES_LENGTH,
)
from domain.transition import Transition
from domain.values import FeatureValue
from repository.rules.compiled import CelRules, CompiledRule, too_long
from repository.rules.cost import Size, Sizes, cost_of, list_size
from repository.rules.number_kinds import mixed_at_run_time, mixed_numbers
from repository.rules.reading import macro_problem, read_expression, regex_literals
from repository.rules.regexes import regex_weight
from repository.rules.values import SAMPLE_TIME, sample_of

_ASKING: Final = 10
"""What a regular expression weighs beside itself."""
_TOO_HEAVY: Final = (
    "takes too long: of a class such as \\p{L} repeat only + or *, and bound the length elsewhere"
)

_VARIABLES: Final = {
    "features": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    "previous": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    "changed": cel.Type.List(cel.Type.STRING),
    "now": cel.Type.TIMESTAMP,
    "entity_id": cel.Type.STRING,
}
_POSITION: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): ")
_STATUS: Final = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_MAX_PROBLEM: Final = 500
_SMALL_TEXT: Final = 64


class CelCompiler:
    """Implements RuleCompiler of domain.rules."""

    def __init__(self) -> None:
        self._rules = cel.NewEnv(variables=_VARIABLES)
        self._texts = cel.NewEnv(variables={"text": cel.Type.STRING})

    def rule_problems(
        self, rules: Sequence[Rule], declared: EntityType
    ) -> Iterator[tuple[int, str]]:
        length, weight, cost = 0, 0, 0.0
        sizes = Sizes(_smallest(declared), _smallest_vectors(declared))
        for index, rule in enumerate(rules):
            length += len(rule.expression)
            if length > MAX_RULES_LENGTH:
                most = f"{MAX_RULES_LENGTH:,} characters"
                yield index, f"with those before it, must not be longer than {most}"
                return
            if problem := self._rule_problem(rule, declared):
                yield index, problem
                continue
            rule_weight = self._regexes_weight(rule.expression) or 0
            weight += rule_weight
            if weight > MAX_REGEXES_WEIGHT:
                yield index, "with those before it, its regular expressions take too long"
                return
            rule_cost = cost_of(read_expression(rule.expression), rule_weight, sizes)
            if cost + rule_cost > MAX_RULES_COST:
                yield (
                    index,
                    f"cannot be asked for values as they are declared{too_long(rule_cost, cost)}",
                )
            else:
                cost += rule_cost

    def pattern_weight(self, pattern: str) -> int:
        return regex_weight(pattern)

    def pattern_problem(self, pattern: str) -> str | None:
        if regex_weight(pattern) > MAX_REGEX_WEIGHT:
            return _TOO_HEAVY
        result = self._match(pattern).eval(data={"text": ""}).value()
        if isinstance(result, bool):
            return None
        return f"is not a regular expression of RE2: {_STATUS.sub('', str(result))[:_MAX_PROBLEM]}"

    def compile_rules(self, rules: Sequence[Rule], expiring: Collection[str]) -> CelRules:
        return CelRules([self._compile(rule) for rule in rules], self._joined, expiring)

    def compile_pattern(self, pattern: str) -> TextPattern:
        return CelPattern(self._match(pattern))

    def _compile(self, rule: Rule) -> CompiledRule:
        program = self._rules.compile(rule.expression)
        weight = self._regexes_weight(rule.expression)
        reading = read_expression(rule.expression)
        return CompiledRule(rule, program, reading, MAX_REGEX_WEIGHT if weight is None else weight)

    def _joined(self, rules: Sequence[CompiledRule]) -> CompiledRule | None:
        if len(rules) == 1:
            return rules[0]
        # Each on a line of its own: a rule may end in a comment.
        expression = " && ".join(f"({each.rule.expression}\n)" for each in rules)
        try:
            return self._compile(Rule("", expression, ""))
        except RuntimeError:
            return None  # too large as one

    def _match(self, pattern: str) -> cel.Expression:
        # Compiled as a whole of its own, so that no parenthesis of it can close ours.
        alone = self._texts.compile(f"text.matches({_quoted(pattern)})")
        if not isinstance(alone.eval(data={"text": ""}).value(), bool):
            return alone
        whole = rf"\A(?:{pattern})\z"
        return self._texts.compile(f"text.matches({_quoted(whole)})")

    def _rule_problem(self, rule: Rule, declared: EntityType) -> str | None:
        expression = rule.expression
        if not expression.strip():
            return "must not be empty"
        if len(expression) > MAX_RULE_LENGTH:
            return f"must not be longer than {MAX_RULE_LENGTH:,} characters, is {len(expression):,}"
        if problem := macro_problem(expression) or self._regex_problem(expression):
            return problem
        try:
            compiled = self._compile(rule)
        except RuntimeError as error:
            return _compilers_problem(expression, str(error))
        returned = compiled.program.return_type().name()
        if returned not in ("BOOL", "DYN"):
            return f"must be true or false, is {returned.lower()}"
        return _undeclared(compiled, declared) or _type_problem(compiled, declared)

    def _regex_problem(self, expression: str) -> str | None:
        weight = self._regexes_weight(expression)
        if weight is None:
            return "matches takes a text that is written out, so that what it costs is known"
        return _TOO_HEAVY if weight > MAX_REGEX_WEIGHT else None

    def _regexes_weight(self, expression: str) -> int | None:
        """Of all regular expressions in an expression; None if they are not all written out."""
        total = 0
        for literal in regex_literals(expression):
            if literal is None:
                return None
            try:
                text = self._rules.compile(literal).eval(data={}).value()
            except RuntimeError:
                continue  # no text: the compiler of the whole says so
            total += _ASKING + regex_weight(str(text))
        return total


class CelPattern:
    """Implements TextPattern of domain.constraints."""

    def __init__(self, program: cel.Expression) -> None:
        def matches(text: str) -> bool:
            return program.eval(data={"text": text}).value() is True

        self._matches = matches
        # Codes, currencies and states come again and again.
        self._small = lru_cache(maxsize=1_024)(matches)

    def matches(self, text: str) -> bool:
        return self._small(text) if len(text) <= _SMALL_TEXT else self._matches(text)


def _smallest(declared: EntityType) -> Transition:
    """An update that leaves every feature as small as it may be."""
    features = {
        name: Feature(FeatureValue(spec.kind, None), 0, 1)
        for name, spec in declared.features.items()
    }
    return Transition("", features, 0, features, (), {})


def _smallest_vectors(declared: EntityType) -> dict[str, Size]:
    """The sizes of vectors, which cannot be small. None is made: there may be any number, and they
    may be declared to have any dimension.
    """
    specs = declared.features.items()
    return {name: list_size(spec.dimension) for name, spec in specs if spec.dimension > 0}


def _quoted(text: str) -> str:
    """A text as a CEL literal."""
    escaped = "".join(
        character if character.isalnum() else f"\\U{ord(character):08x}" for character in text
    )
    return f'"{escaped}"'


def _compilers_problem(expression: str, error: str) -> str:
    found = _POSITION.search(error)
    mixed = found and mixed_numbers(expression, int(found[1]), int(found[2]), error)
    return (mixed or _positioned(error))[:_MAX_PROBLEM]


def _positioned(error: str) -> str:
    """A compiler's error, its position in words."""
    text = _POSITION.sub(r"line \1, column \2: ", _STATUS.sub("", error.strip()))
    return text.replace("ERROR: <input>:-1:-1: ", "").strip()[:_MAX_PROBLEM]


def _undeclared(compiled: CompiledRule, declared: EntityType) -> str | None:
    """A rule can only be about features that there may be."""
    if declared.additional_features is AdditionalFeatures.ALLOW:
        return None
    named = (compiled.reading.features or frozenset()) | (compiled.reading.previous or frozenset())
    unknown = sorted(named - declared.features.keys())
    return f"reads {', '.join(unknown)}, which is not declared" if unknown else None


def _type_problem(compiled: CompiledRule, declared: EntityType) -> str | None:
    """Evaluate a rule on values of the declared types: what has no meaning for them shows."""
    sample: dict[str, Any] = {name: sample_of(spec) for name, spec in declared.features.items()}
    facts = {
        "features": sample,
        "previous": sample,
        "changed": list(sample),
        "now": SAMPLE_TIME,
        "entity_id": "a",
    }
    try:
        value = compiled.program.eval(data=facts)
    except RuntimeError:
        return None  # it depends on the values
    result = value.value()
    if value.type() == cel.Type.BOOL:
        return None
    if value.type() != cel.Type.ERROR:
        return f"must be true or false, is {value.type().name().lower()}"
    if "No matching overloads" in result or "invalid regular expression" in result:
        said = mixed_at_run_time(compiled.rule.expression, result) or _STATUS.sub("", result)
        return f"does not fit the types of its features: {said[:_MAX_PROBLEM]}"
    return None
