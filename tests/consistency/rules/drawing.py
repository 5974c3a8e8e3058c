"""Definitions and updates, drawn at random from small domains: every line is met and crossed."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random
from types import MappingProxyType
from typing import Any, Final

from tests.consistency.rules.judge import is_finite, value_breaks
from tests.consistency.rules.plain_type import Item, PlainSpec, PlainType, PlainUpdate, Value
from tests.consistency.rules.rule_templates import COUNTS, draw_rule

TYPES: Final = ("red", "green", "blue")
ENTITIES: Final = ("e-0", "e-1", "e-2")
MARK: Final = "mark"
HOUR: Final = 3_600 * 10**9
_EARLY: Final = 1_600_000_000 * 10**9
_FAR: Final = 4_000_000_000 * 10**9
_TEXTS: Final = ("", "a", "b", "c", "ab", "abc", "x1")

USUAL_KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "n0": "int64_value",
        "n1": "int64_value",
        "n2": "int64_value",
        "d0": "double_value",
        "s0": "string_value",
        "b0": "bool_value",
        "y0": "bytes_value",
        "t0": "timestamp_value",
        "l0": "int64_list",
        "bl": "bool_list",
        "dl": "double_list",
        "sl": "string_list",
        "v0": "float_vector",
        "free": "int64_value",
    }
)
"""The features, and the kind that each has if nobody decides otherwise."""

_ORDERED: Final = (
    "int64_value",
    "double_value",
    "timestamp_value",
    "int64_list",
    "double_list",
    "float_vector",
)
_SIZED: Final = ("string_value", "bytes_value", "int64_list", "string_list", "float_vector")
_FLOATING: Final = ("double_value", "double_list", "float_vector")


def draw_type(chance: Random, name: str) -> PlainType:
    """A definition that can be applied."""
    declared = [feature for feature in USUAL_KINDS if chance.random() < 0.7]
    specs = {feature: _draw_spec(chance, _declared_kind(chance, feature)) for feature in declared}
    specs[MARK] = PlainSpec(kind="string_value")
    closed = chance.random() < 0.4
    rules = []
    for number in range(chance.randint(0, 4)):
        rule, reads = draw_rule(chance, number)
        # What cannot work is refused when applied, and is not what this is about.
        one_kind = all(specs[each].kind == "int64_value" for each in COUNTS if each in specs)
        if one_kind and (not closed or reads <= specs.keys()):
            rules.append(rule)
    return PlainType(name=name, specs=specs, rules=tuple(rules), closed=closed)


def draw_update(chance: Random, entity_type: str, mark: str) -> PlainUpdate:
    """An update of some features, of which some may be wrong in any way."""
    many = chance.random() < 0.3
    names = [name for name in USUAL_KINDS if chance.random() < (0.7 if many else 0.2)]
    items = [_draw_item(chance, name) for name in names]
    if items and chance.random() < 0.02:
        items.append(items[0])
    # All of some updates comes too late.
    marked_at = _EARLY if chance.random() < 0.05 else None
    items.insert(0, Item(MARK, "set", Value("string_value", mark), marked_at))
    if marked_at is not None:
        items = [item._replace(event_time=marked_at) for item in items]
    return PlainUpdate(entity_type, chance.choice(ENTITIES), tuple(items), mark)


def _declared_kind(chance: Random, feature: str) -> str:
    if feature == "free":
        return chance.choice(["int64_value", "string_value", "double_value"])
    # Which features have which kind is what rules count on, but numbers are of two kinds.
    return "double_value" if feature in COUNTS and chance.random() < 0.05 else USUAL_KINDS[feature]


def _draw_spec(chance: Random, kind: str) -> PlainSpec:
    def sometimes(how_often: float, draw: Callable[[], Any], otherwise: Any = None) -> Any:
        return draw() if chance.random() < how_often else otherwise

    element = kind.replace("_list", "_value")
    fields: dict[str, Any] = {"kind": kind}
    if kind in _FLOATING:
        fields["non_finite"] = chance.random() < 0.4
    if kind in _ORDERED:
        low, high = _bounds(chance, kind)
        fields["minimum"] = sometimes(0.3, lambda: low)
        fields["maximum"] = sometimes(0.3, lambda: high)
    if element in _FEW:
        few = _FEW[element]
        fields["allowed"] = sometimes(0.15, lambda: tuple(chance.sample(few, len(few) - 1)), ())
    if kind in ("string_value", "string_list"):
        fields["pattern"] = sometimes(
            0.2, lambda: chance.choice(["[a-c]*", "a.*|b?", ".{0,2}"]), ""
        )
    if kind in _SIZED:
        fields["max_length"] = sometimes(0.3, lambda: chance.randint(2, 4), 0)
    if kind == "float_vector":
        fields["dimension"] = sometimes(0.3, lambda: 2, 0)
    fields["late"] = chance.choice(["KEEP_NEWEST", "APPLY", "REJECT"])
    fields["required"] = chance.random() < 0.1
    if chance.random() < 0.2:
        fields["ttl"] = HOUR
    else:
        fields["default"] = sometimes(0.2, lambda: _default(chance, kind))
    spec = PlainSpec(**fields)
    return spec if _makes_sense(spec) else replace(spec, allowed=(), default=None)


_FEW: Final[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
    {
        "bool_value": (True, False),
        "int64_value": tuple(range(8)),
        "string_value": _TEXTS,
        "bytes_value": (b"", b"a", b"\x00\xff"),
        "timestamp_value": (_EARLY, _EARLY + 5, _EARLY + 9),
    }
)
"""What allowed values are drawn from."""


def _bounds(chance: Random, kind: str) -> tuple[Any, Any]:
    if kind == "timestamp_value":
        return _EARLY, _EARLY + 5
    low, high = chance.randint(0, 1), chance.randint(4, 6)
    return (float(low), float(high)) if kind.startswith(("double", "float")) else (low, high)


def _default(chance: Random, kind: str) -> Any:
    content = _content(chance, kind)
    return content if is_finite(Value(kind, content)) else None


def _makes_sense(spec: PlainSpec) -> bool:
    """Whether default and allowed values keep the other constraints."""
    alone = PlainType(name="alone", specs={"f": spec})
    values = [(each,) if spec.kind.endswith("_list") else each for each in spec.allowed]
    values += [] if spec.default is None else [spec.default]
    return not any(
        True for each in values for _ in value_breaks(alone, "f", Value(spec.kind, each))
    )


def _draw_item(chance: Random, name: str) -> Item:
    kind = USUAL_KINDS[name]
    if name == "free" or chance.random() < 0.005:
        kind = chance.choice(["int64_value", "string_value", "double_value"])
    event_time = chance.choice([None, None, None, _EARLY + chance.randint(0, 9), _recent(chance)])
    verbs = ["set", "set", "set", "remove"]
    if kind in ("int64_value", "double_value"):
        verbs += ["increment", "maximum", "minimum"]
    if kind.endswith("_list"):
        verbs += ["append", "append"]
    verb = chance.choice(verbs)
    if verb == "remove":
        return Item(name, verb, None, event_time)
    if verb == "append":
        value = chance.choice([Value(kind, _content(chance, kind)), _element(chance, kind)])
        return Item(name, verb, value, event_time, chance.choice([0, 3]))
    return Item(name, verb, Value(kind, _content(chance, kind)), event_time)


def _recent(chance: Random) -> int:
    """A time that a few others have gone past."""
    return time.time_ns() - chance.randint(0, 500) * 10**6


def _element(chance: Random, kind: str) -> Value:
    element = kind.replace("_list", "_value")
    return Value(element, _content(chance, element))


def _content(chance: Random, kind: str) -> Any:
    if kind.endswith("_list"):
        element = kind.replace("_list", "_value")
        return tuple(_content(chance, element) for _ in range(chance.randint(0, 4)))
    if kind == "float_vector":
        return tuple(chance.randint(0, 9) / 2 for _ in range(chance.choice([1, 2, 2, 2, 3])))
    return _SCALARS[kind](chance)


def _number(chance: Random) -> float:
    if chance.random() < 0.02:
        return chance.choice([math.nan, math.inf, -math.inf])
    return chance.choice([0.5, 1.0, 2.0, 3.5, 4.0, 9.0])


_SCALARS: Final[Mapping[str, Callable[[Random], Any]]] = MappingProxyType(
    {
        "bool_value": lambda chance: chance.random() < 0.5,
        "int64_value": lambda chance: chance.randint(0, 7),
        "double_value": lambda chance: _number(chance),
        "string_value": lambda chance: chance.choice(_TEXTS),
        "bytes_value": lambda chance: chance.choice([b"", b"a", b"\x00\xff", b"abcde"]),
        "timestamp_value": lambda chance: chance.choice([_EARLY, _EARLY + 5, _EARLY + 9, _FAR]),
    }
)
