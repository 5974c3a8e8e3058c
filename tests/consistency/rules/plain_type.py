"""Entity types in plain Python: a rule is CEL for the server, and a function for the judge."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias


class Value(NamedTuple):
    """A value of a feature; the kind is the field of the contract's FeatureValue."""

    kind: str
    content: Any


class Moment(int):
    """The content of a timestamp as rules see it, which is no number to them."""


class Stored(NamedTuple):
    """A feature of an aggregate."""

    value: Value
    event_time: int


Features: TypeAlias = Mapping[str, Stored]


@dataclass(frozen=True, kw_only=True)
class PlainSpec:
    """What is asked of one feature; as FeatureSpec of the contract, with contents for values."""

    kind: str
    required: bool = False
    default: Any = None
    minimum: Any = None
    maximum: Any = None
    allowed: tuple[Any, ...] = ()
    max_length: int = 0
    pattern: str = ""
    dimension: int = 0
    non_finite: bool = False
    late: str = "KEEP_NEWEST"
    ttl: int = 0
    """Nanoseconds; 0: none."""


@dataclass(frozen=True)
class View:
    """What a rule sees; reading what is missing raises KeyError."""

    features: Mapping[str, Any]
    previous: Mapping[str, Any]
    changed: frozenset[str]
    now: int
    entity_id: str


class PlainRule(NamedTuple):
    """A rule, said twice."""

    name: str
    expression: str
    holds: Callable[[View], bool]
    """May raise KeyError, TypeError or ZeroDivisionError: then it does not hold."""


@dataclass(frozen=True, kw_only=True)
class PlainType:
    """One definition of an entity type."""

    name: str
    specs: Mapping[str, PlainSpec] = field(default_factory=dict)
    rules: tuple[PlainRule, ...] = ()
    closed: bool = False
    """Other features are refused."""


class Item(NamedTuple):
    """One operation of an update."""

    name: str
    verb: str
    """The field of the contract's FeatureUpdate."""
    value: Value | None
    event_time: int | None
    max_length: int = 0


class PlainUpdate(NamedTuple):
    """One update of one entity; every update has a mark of its own."""

    entity_type: str
    entity_id: str
    items: tuple[Item, ...]
    mark: str
