"""What can be done to one feature.

`result` is a pure function from the stored value (None: no such feature) to the new one (None:
removed). Operations that commute give the same end in every order, so an event that arrives late
still counts; the others yield to a newer event time.
"""

import math
from collections.abc import Callable
from typing import ClassVar, TypeAlias

from msgspec import Struct

from domain.values import (
    ELEMENT_KINDS,
    LIST_KINDS,
    ORDERED_KINDS,
    FeatureValue,
    ValueKind,
    size_difference,
    value_problem,
)


class OperationRefused(Exception):
    """The operation does not fit the stored value; the message says why, for people."""


class SetValue(Struct, frozen=True, gc=False):
    """Replace the value."""

    value: FeatureValue
    field: ClassVar = "set"
    commutes: ClassVar = False

    def result(self, current: FeatureValue | None) -> FeatureValue:
        _require_same_kind(self.value, current)
        return self.value


class Increment(Struct, frozen=True, gc=False):
    """Add to a number; a missing one counts as 0."""

    value: FeatureValue
    field: ClassVar = "increment"
    commutes: ClassVar = True

    def result(self, current: FeatureValue | None) -> FeatureValue:
        _require_kind(self.value, _NUMBERS)
        _require_same_kind(self.value, current)
        if current is None:
            return self.value
        total = FeatureValue(current.kind, current.content + self.value.content)
        # Where a number that is not finite may be stored, what it adds up to may be too.
        finite = math.isfinite(current.content) and math.isfinite(self.value.content)
        if value_problem(total, non_finite=not finite):
            raise OperationRefused(f"overflows: {current.content} + {self.value.content}")
        return total


class Maximum(Struct, frozen=True, gc=False):
    """Keep the larger one."""

    value: FeatureValue
    field: ClassVar = "maximum"
    commutes: ClassVar = True

    def result(self, current: FeatureValue | None) -> FeatureValue:
        return _extreme(max, self.value, current)


class Minimum(Struct, frozen=True, gc=False):
    """Keep the smaller one."""

    value: FeatureValue
    field: ClassVar = "minimum"
    commutes: ClassVar = True

    def result(self, current: FeatureValue | None) -> FeatureValue:
        return _extreme(min, self.value, current)


class Append(Struct, frozen=True, gc=False):
    """Append one element, or a list of them; a missing list counts as empty."""

    value: FeatureValue
    max_length: int
    """Keep at most so many elements, dropping the oldest; 0 keeps all."""
    field: ClassVar = "append"
    commutes: ClassVar = False

    def result(self, current: FeatureValue | None) -> FeatureValue:
        added = as_list(self.value)
        _require_same_kind(added, current)
        if current is not None:
            added = FeatureValue(added.kind, current.content + added.content)
        if self.max_length:
            added = FeatureValue(added.kind, added.content[-self.max_length :])
        return added

    def growth(self, value: FeatureValue, replaced: FeatureValue) -> int:
        """As `size_difference`, but what stays in a long list is not measured again."""
        if value.kind is not replaced.kind:
            return size_difference(value, replaced)
        kept = len(value.content) - len(as_list(self.value).content)
        dropped = len(replaced.content) - kept
        # Another list than the stored one may have been appended to, such as a default.
        stays = kept >= 0 <= dropped and value.content[:kept] == replaced.content[dropped:]
        if not stays:
            return size_difference(value, replaced)
        gone = FeatureValue(value.kind, replaced.content[:dropped])
        come = FeatureValue(value.kind, value.content[kept:])
        return size_difference(come, gone)


class Remove(Struct, frozen=True, gc=False):
    """Remove the feature, and forget its kind and its event time."""

    value: None = None
    field: ClassVar = "remove"
    commutes: ClassVar = False

    def result(self, current: FeatureValue | None) -> None:
        return None


Operation: TypeAlias = SetValue | Increment | Maximum | Minimum | Append | Remove

_NUMBERS = (ValueKind.INT64, ValueKind.DOUBLE)
_APPENDABLE = (*LIST_KINDS, *ELEMENT_KINDS)


def as_list(value: FeatureValue) -> FeatureValue:
    """What is appended as a list, whether it is one or an element. Raises OperationRefused."""
    if value.kind in ELEMENT_KINDS:
        return value
    if value.kind not in LIST_KINDS:
        raise OperationRefused(f"takes {_names(_APPENDABLE)}, not {value.kind.value}")
    return FeatureValue(LIST_KINDS[value.kind], (value.content,))


def _require_kind(value: FeatureValue, kinds: tuple[ValueKind, ...]) -> None:
    if value.kind not in kinds:
        raise OperationRefused(f"takes {_names(kinds)}, not {value.kind.value}")


def _require_same_kind(value: FeatureValue, current: FeatureValue | None) -> None:
    if current is not None and current.kind is not value.kind:
        raise OperationRefused(f"is {value.kind.value}, but the feature is {current.kind.value}")


def _extreme(
    choose: Callable[..., FeatureValue], value: FeatureValue, current: FeatureValue | None
) -> FeatureValue:
    _require_kind(value, ORDERED_KINDS)
    _require_same_kind(value, current)
    if math.isnan(value.content):
        raise OperationRefused("takes no NaN, which is neither larger nor smaller")
    # The stored one wins a tie, so that nothing changes without need.
    return value if current is None else choose(current, value, key=lambda v: v.content)


def _names(kinds: tuple[ValueKind, ...]) -> str:
    return " or ".join(kind.value for kind in kinds)
