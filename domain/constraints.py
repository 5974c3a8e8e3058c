"""Whether a value keeps the constraints of its feature."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

from domain.errors import RuleViolation
from domain.feature_spec import FeatureSpec
from domain.value_text import content_text, short_text, value_text
from domain.values import (
    ELEMENT_KINDS,
    FLOATING_KINDS,
    NON_FINITE_HINT,
    FeatureValue,
    Judge,
    ValueKind,
    finite_problem,
    of_each_element,
)


class TextPattern(Protocol):
    """A compiled pattern."""

    def matches(self, text: str) -> bool:
        """Whether the pattern matches the whole text. Must take linear time."""


_MATCHING: Final = 3
"""Microseconds to match the simplest pattern."""
_ELEMENTWISE = (*ELEMENT_KINDS, ValueKind.FLOAT_VECTOR)


class ConstraintCheck:
    """The constraints of one feature, prepared so that a value pays only for those it has."""

    __slots__ = ("_judges", "_kind", "_name", "_pattern_weight", "_spec", "has_pattern")

    def __init__(
        self,
        name: str,
        spec: FeatureSpec,
        pattern: TextPattern | None = None,
        pattern_weight: int = 0,
    ) -> None:
        """`pattern` is that of `spec`, compiled, and its weight what one match costs."""
        self.has_pattern = pattern is not None
        self._pattern_weight = pattern_weight
        self._name = name
        self._spec = spec
        self._kind = spec.kind
        self._judges = tuple(_judges(spec, pattern))

    def pattern_cost(self, value: FeatureValue) -> int:
        """What it costs to match a value with the pattern: about so many microseconds."""
        content = value.content
        texts = len(content) if isinstance(content, tuple) else 1
        return texts * (self._pattern_weight + _MATCHING)

    def violations(self, value: FeatureValue) -> Sequence[RuleViolation]:
        """Everything that the value breaks."""
        kind, content = value.kind, value.content
        if kind is not self._kind:
            description = f"is {kind.value}, must be {self._kind.value}"
            return [RuleViolation("TYPE", self._name, description)]
        # Almost every value breaks nothing, so that is found out with as little as possible.
        for _, judge in self._judges:
            if judge(content):
                return [
                    RuleViolation(sort, self._name, problem)
                    for sort, each in self._judges
                    if (problem := each(content))
                ]
        return ()


def _judges(spec: FeatureSpec, pattern: TextPattern | None) -> Iterator[tuple[str, Judge]]:
    of_each = of_each_element if spec.kind in _ELEMENTWISE else _as_it_is
    if spec.kind in FLOATING_KINDS and not spec.allow_non_finite:
        yield "NON_FINITE", of_each(_finite)
    if spec.minimum is not None or spec.maximum is not None:
        yield "RANGE", of_each(_in_range(spec))
    if spec.allowed_values:
        yield "ALLOWED_VALUES", of_each(_among(spec))
    if spec.max_length:
        yield "MAX_LENGTH", _not_longer_than(spec.max_length)
    if pattern is not None:
        yield "PATTERN", of_each(_matching(pattern, spec.pattern))
    if spec.dimension:
        yield "DIMENSION", _with_dimension(spec.dimension)


def _as_it_is(judge: Judge) -> Judge:
    return judge


def _finite(content: Any) -> str | None:
    problem = finite_problem(content)
    return problem and problem + NON_FINITE_HINT


def _in_range(spec: FeatureSpec) -> Judge:
    low = -math.inf if spec.minimum is None else spec.minimum.content
    high = math.inf if spec.maximum is None else spec.maximum.content
    bounds = [
        f"{word} {value_text(bound)}"
        for word, bound in (("at least", spec.minimum), ("at most", spec.maximum))
        if bound is not None
    ]
    wanted = " and ".join(bounds)

    def judge(content: Any) -> str | None:
        if low <= content <= high:
            return None
        return f"must be {wanted}, is {content_text(spec.element_kind, content)}"

    return judge


def _among(spec: FeatureSpec) -> Judge:
    allowed = frozenset(value.content for value in spec.allowed_values)
    shown = ", ".join(repr(value.content) for value in spec.allowed_values[:10])
    more = ", …" if len(spec.allowed_values) > 10 else ""

    def judge(content: Any) -> str | None:
        if content in allowed:
            return None
        return f"must be one of {shown}{more}, is {short_text(content)}"

    return judge


def _not_longer_than(limit: int) -> Judge:
    def judge(content: Any) -> str | None:
        length = len(content)
        return None if length <= limit else f"must not be longer than {limit}, is {length}"

    return judge


def _matching(pattern: TextPattern, text: str) -> Judge:
    def judge(content: Any) -> str | None:
        return None if pattern.matches(content) else f"must match {text}, is {short_text(content)}"

    return judge


def _with_dimension(dimension: int) -> Judge:
    def judge(content: Any) -> str | None:
        length = len(content)
        return None if length == dimension else f"must have {dimension} components, has {length}"

    return judge
