"""Domain objects in few words."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from domain.aggregate import FeatureAggregate
from domain.entity_key import EntityKey
from domain.feature import Feature
from domain.limits import DEFAULT_LIMITS, Limits
from domain.operations import Append, Increment, Maximum, Minimum, Remove, SetValue
from domain.timestamp import SECOND, Timestamp
from domain.update import FeatureUpdate, Update
from domain.values import FeatureValue, ValueKind

KEY: Final = EntityKey("customer", "c-1")
UID: Final = UUID("00000000-0000-4000-8000-000000000001")
REQUEST_ID: Final = UUID("00000000-0000-4000-8000-00000000000a")
NOW: Final[Timestamp] = 1_700_000_000 * SECOND

TWO_OF_EACH: Final[Mapping[ValueKind, tuple[Any, Any]]] = MappingProxyType(
    {
        ValueKind.BOOL: (True, False),
        ValueKind.INT64: (-7, 2**40),
        ValueKind.DOUBLE: (2.5, -1e300),
        ValueKind.STRING: ("gold", "Zürich 😀"),
        ValueKind.BYTES: (b"\x00\xff", b""),
        ValueKind.TIMESTAMP: (NOW, -1),
        ValueKind.BOOL_LIST: ((True, False), ()),
        ValueKind.INT64_LIST: ((1, -2), (3,)),
        ValueKind.DOUBLE_LIST: ((0.5, 1e-9), ()),
        ValueKind.STRING_LIST: (("a", ""), ("ü",)),
        ValueKind.FLOAT_VECTOR: ((0.5, -2.0), (1.0,)),
    }
)
"""Two different contents for every kind of value."""

_KINDS: Final = {
    bool: ValueKind.BOOL,
    int: ValueKind.INT64,
    float: ValueKind.DOUBLE,
    str: ValueKind.STRING,
    bytes: ValueKind.BYTES,
}


def value(content: Any, kind: ValueKind | None = None) -> FeatureValue:
    """A value of the kind that the type of `content` suggests, or of `kind`."""
    return FeatureValue(_KINDS[type(content)] if kind is None else kind, content)


def sample(kind: ValueKind) -> FeatureValue:
    return FeatureValue(kind, TWO_OF_EACH[kind][0])


def another(kind: ValueKind) -> FeatureValue:
    """Not equal to `sample(kind)`."""
    return FeatureValue(kind, TWO_OF_EACH[kind][1])


def put(name: str, content: Any, event_time: Timestamp | None = None) -> FeatureUpdate:
    """Set a feature; `content` may be a FeatureValue."""
    return FeatureUpdate(name, SetValue(_value(content)), event_time)


def add(name: str, content: Any, event_time: Timestamp | None = None) -> FeatureUpdate:
    return FeatureUpdate(name, Increment(_value(content)), event_time)


def at_least(name: str, content: Any, event_time: Timestamp | None = None) -> FeatureUpdate:
    return FeatureUpdate(name, Maximum(_value(content)), event_time)


def at_most(name: str, content: Any, event_time: Timestamp | None = None) -> FeatureUpdate:
    return FeatureUpdate(name, Minimum(_value(content)), event_time)


def append(
    name: str, content: Any, max_length: int = 0, event_time: Timestamp | None = None
) -> FeatureUpdate:
    return FeatureUpdate(name, Append(_value(content), max_length), event_time)


def remove(name: str, event_time: Timestamp | None = None) -> FeatureUpdate:
    return FeatureUpdate(name, Remove(), event_time)


def update(*items: FeatureUpdate, key: EntityKey = KEY, **rest: Any) -> Update:
    """`rest` is whatever else an Update has."""
    return Update(key=key, updates=items, **rest)


def aggregate(
    features: Mapping[str, Feature] | None = None, limits: Limits = DEFAULT_LIMITS
) -> FeatureAggregate:
    """One that was never written, or one at version 1 that has these features."""
    made = FeatureAggregate(KEY, UID, dict(features or {}), limits=limits)
    made.version = int(bool(features))
    return made


def written(*items: FeatureUpdate, now: Timestamp = NOW, **rest: Any) -> FeatureAggregate:
    """One at version 1, as an update of these items made it at `now`."""
    made = aggregate()
    made.apply(update(*items, **rest), now)
    return made


def contents(features: Mapping[str, Feature]) -> dict[str, Any]:
    """What the features hold, by name."""
    return {name: feature.value and feature.value.content for name, feature in features.items()}


def entity(number: int | str, entity_type: str = "customer") -> EntityKey:
    return EntityKey(entity_type, f"c-{number}")


def entities(numbers: Iterable[int]) -> list[EntityKey]:
    return [entity(number) for number in numbers]


def _value(content: Any) -> FeatureValue:
    return content if isinstance(content, FeatureValue) else value(content)
