"""Feature values: eleven kinds, each with the Python type that holds it exactly."""

import math
import struct
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, TypeAlias

from msgspec import Struct

from domain.timestamp import timestamp_problem

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1


class ValueKind(Enum):
    """The kinds of values; each is named as in the contract."""

    BOOL = "bool_value"
    INT64 = "int64_value"
    DOUBLE = "double_value"
    STRING = "string_value"
    BYTES = "bytes_value"
    TIMESTAMP = "timestamp_value"
    BOOL_LIST = "bool_list"
    INT64_LIST = "int64_list"
    DOUBLE_LIST = "double_list"
    STRING_LIST = "string_list"
    FLOAT_VECTOR = "float_vector"

    # Members are singletons; the inherited hash would hash the name each time.
    __hash__ = object.__hash__


ELEMENT_KINDS: Final = {
    ValueKind.BOOL_LIST: ValueKind.BOOL,
    ValueKind.INT64_LIST: ValueKind.INT64,
    ValueKind.DOUBLE_LIST: ValueKind.DOUBLE,
    ValueKind.STRING_LIST: ValueKind.STRING,
}
"""Which kind the elements of a list have."""

LIST_KINDS: Final = {element: list_kind for list_kind, element in ELEMENT_KINDS.items()}
"""Which kind of list has elements of a kind."""

ORDERED_KINDS: Final = (ValueKind.INT64, ValueKind.DOUBLE, ValueKind.TIMESTAMP)
FLOATING_KINDS: Final = (ValueKind.DOUBLE, ValueKind.DOUBLE_LIST, ValueKind.FLOAT_VECTOR)
"""Those in which NaN and the infinities can be."""


class FeatureValue(Struct, frozen=True, gc=False):
    """One value. Two values are equal if they have the same kind and the same content."""

    kind: ValueKind
    content: Any
    """As the kind says: bool, int, float, str, bytes, an `Instant`, or a tuple of the elements."""


Judge: TypeAlias = Callable[[Any], str | None]
"""Says what is wrong with the content of a value, or of an element, or None."""


NON_FINITE_HINT: Final = "; see allow_non_finite"
"""How an entity type lets NaN and the infinities in. Short, as there may be a thousand of it."""


def finite_problem(content: Any) -> str | None:
    return None if math.isfinite(content) else f"must be finite, is {content}"


def of_each_element(problem_of: Judge) -> Judge:
    """Says the same of the elements of a content."""

    def problem_of_each(content: Any) -> str | None:
        for index, element in enumerate(content):
            if problem := problem_of(element):
                return f"element {index} {problem}"
        return None

    return problem_of_each


def value_problem(value: FeatureValue, *, non_finite: bool = False) -> str | None:
    """What makes a value impossible to store, or None. `non_finite`: NaN and infinities may be."""
    problem_of = (_PROBLEMS_BUT_NON_FINITE if non_finite else _PROBLEMS).get(value.kind)
    return problem_of(value.content) if problem_of else None


def same_value(one: FeatureValue, other: FeatureValue) -> bool:
    """Whether two values are equal, where NaN equals itself."""
    if one == other:
        return True
    if one.kind is not other.kind:
        return False
    if one.kind is ValueKind.DOUBLE:
        return math.isnan(one.content) and math.isnan(other.content)
    if one.kind is ValueKind.DOUBLE_LIST or one.kind is ValueKind.FLOAT_VECTOR:
        return len(one.content) == len(other.content) and all(
            a == b or (math.isnan(a) and math.isnan(b))
            for a, b in zip(one.content, other.content, strict=True)
        )
    return False


def _int64_problem(content: Any) -> str | None:
    return None if INT64_MIN <= content <= INT64_MAX else "must fit into 64 bits"


def _float_problem(content: Any) -> str | None:
    return finite_problem(content) or _single_problem(content)


def _single_problem(content: Any) -> str | None:
    try:
        struct.pack("<f", content)  # the native one makes it infinite
    except OverflowError:
        return f"must fit into 32 bits, is {content}"
    return None


_PROBLEMS_BUT_NON_FINITE: Final[dict[ValueKind, Judge]] = {
    ValueKind.INT64: _int64_problem,
    ValueKind.TIMESTAMP: timestamp_problem,
    ValueKind.INT64_LIST: of_each_element(_int64_problem),
    ValueKind.FLOAT_VECTOR: of_each_element(_single_problem),
}
_PROBLEMS: Final[dict[ValueKind, Judge]] = _PROBLEMS_BUT_NON_FINITE | {
    ValueKind.DOUBLE: finite_problem,
    ValueKind.DOUBLE_LIST: of_each_element(finite_problem),
    ValueKind.FLOAT_VECTOR: of_each_element(_float_problem),
}

_FIXED_SIZES: Final = {
    ValueKind.BOOL: 2,
    ValueKind.INT64: 11,
    ValueKind.DOUBLE: 9,
    ValueKind.TIMESTAMP: 20,
}
_ELEMENT_SIZES: Final = {
    ValueKind.BOOL_LIST: 1,
    ValueKind.DOUBLE_LIST: 8,
    ValueKind.FLOAT_VECTOR: 4,
}
_LENGTH: Final = 6  # a tag and a length of up to 2^32 bytes


def value_size(value: FeatureValue) -> int:
    """An upper bound of the bytes that a value takes in the stored form."""
    kind, content = value.kind, value.content
    fixed = _FIXED_SIZES.get(kind)
    if fixed is not None:
        return fixed
    if kind is ValueKind.STRING:
        return _LENGTH + (len(content) if content.isascii() else len(content.encode()))
    if kind is ValueKind.STRING_LIST:
        return _LENGTH + sum(_LENGTH + len(str(element).encode()) for element in content)
    if kind is ValueKind.INT64_LIST:
        return 2 * _LENGTH + sum(map(_varint_size, content))
    return 2 * _LENGTH + len(content) * _ELEMENT_SIZES.get(kind, 1)


def size_difference(value: FeatureValue, replaced: FeatureValue) -> int:
    """By how many bytes the stored form grows, as far as its upper bound tells."""
    if value.kind is replaced.kind and value.kind in _FIXED_SIZES:
        return 0
    return value_size(value) - value_size(replaced)


def _varint_size(number: int) -> int:
    return 10 if number < 0 else number.bit_length() // 7 + 1
