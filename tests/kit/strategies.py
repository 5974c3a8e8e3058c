"""What Hypothesis draws from."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from domain.feature import Feature
from domain.operations import Append, Increment, Maximum, Minimum, Operation, Remove, SetValue
from domain.timestamp import EARLIEST, LATEST
from domain.update import FeatureUpdate
from domain.values import INT64_MAX, INT64_MIN, FeatureValue, ValueKind
from tests.kit.samples import another, sample, value

ANY_INSTANT: Final = st.integers(EARLIEST, LATEST)

_BOOLS: Final = st.booleans()
_INTEGERS: Final = st.integers(INT64_MIN, INT64_MAX)
_DOUBLES: Final = st.floats(allow_nan=False, allow_infinity=False)
_TEXTS: Final = st.text(max_size=20)


def _lists_of(elements: SearchStrategy[Any]) -> SearchStrategy[tuple[Any, ...]]:
    return st.lists(elements, max_size=5).map(tuple)


CONTENTS: Final[Mapping[ValueKind, SearchStrategy[Any]]] = MappingProxyType(
    {
        ValueKind.BOOL: _BOOLS,
        ValueKind.INT64: _INTEGERS,
        ValueKind.DOUBLE: _DOUBLES,
        ValueKind.STRING: _TEXTS,
        ValueKind.BYTES: st.binary(max_size=20),
        ValueKind.TIMESTAMP: ANY_INSTANT,
        ValueKind.BOOL_LIST: _lists_of(_BOOLS),
        ValueKind.INT64_LIST: _lists_of(_INTEGERS),
        ValueKind.DOUBLE_LIST: _lists_of(_DOUBLES),
        ValueKind.STRING_LIST: _lists_of(_TEXTS),
        ValueKind.FLOAT_VECTOR: _lists_of(
            st.floats(allow_nan=False, allow_infinity=False, width=32)
        ),
    }
)
"""What a value of each kind may hold."""


def values_of(kind: ValueKind) -> SearchStrategy[FeatureValue]:
    return CONTENTS[kind].map(lambda content: FeatureValue(kind, content))


ANY_VALUE: Final = st.sampled_from(ValueKind).flatmap(values_of)

ANY_FEATURE: Final = st.builds(Feature, ANY_VALUE, ANY_INSTANT, st.integers(1, INT64_MAX))

ANY_NAME: Final = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.:-]{0,9}", fullmatch=True)

# Few names, kinds and times, so that updates meet what earlier ones left.
FEW_NAMES: Final = st.sampled_from("abcd")
FEW_INSTANTS: Final = st.integers(0, 9).map(lambda number: number * 3_000)
_FEW_VALUES: Final = st.sampled_from(
    [
        *map(value, (0, 1, -3, INT64_MAX, INT64_MIN, 0.0, 1.5, 1.7e308)),
        *(FeatureValue(ValueKind.INT64_LIST, numbers) for numbers in ((), (1,), (2, 3))),
        *map(sample, ValueKind),
        *map(another, ValueKind),
    ]
)
_OPERATIONS: Final[SearchStrategy[Operation]] = st.one_of(
    st.builds(SetValue, _FEW_VALUES),
    st.builds(Increment, _FEW_VALUES),
    st.builds(Maximum, _FEW_VALUES),
    st.builds(Minimum, _FEW_VALUES),
    st.builds(Append, _FEW_VALUES, st.integers(0, 3)),
    st.just(Remove()),
)

FEATURE_UPDATES: Final = st.builds(FeatureUpdate, FEW_NAMES, _OPERATIONS, st.none() | FEW_INSTANTS)
SOME_FEATURE_UPDATES: Final = st.lists(
    FEATURE_UPDATES, min_size=1, max_size=3, unique_by=lambda item: item.name
).map(tuple)
"""What one update may hold, each feature named once; whether it fits is another matter."""
