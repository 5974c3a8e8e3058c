"""Constraints that make no sense: what is wrong with a specification before any value is seen."""

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from domain.constraints import ConstraintCheck
from domain.feature_spec import FeatureSpec
from domain.limits import MAX_PATTERN_LENGTH
from domain.values import (
    ELEMENT_KINDS,
    FLOATING_KINDS,
    LIST_KINDS,
    ORDERED_KINDS,
    FeatureValue,
    ValueKind,
    value_problem,
)

_BOUNDS: Final = ("minimum", "maximum")
_SIZED: Final = (ValueKind.STRING, ValueKind.BYTES, ValueKind.FLOAT_VECTOR, *ELEMENT_KINDS)
_TEXTS: Final = (ValueKind.STRING, ValueKind.STRING_LIST)


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
