"""What a definition makes of an update of some features, written down a second time."""

import math
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from tests.consistency.rules.plain_type import (
    Features,
    Item,
    Moment,
    PlainRule,
    PlainSpec,
    PlainType,
    PlainUpdate,
    Stored,
    Value,
    View,
)

EARLIEST: Final = -62_135_596_800 * 10**9
LISTS: Final = ("bool_list", "int64_list", "double_list", "string_list")
NUMBERS: Final = ("int64_value", "double_value")
ORDERED: Final = (*NUMBERS, "timestamp_value")
COMMUTING: Final = ("increment", "maximum", "minimum")
FLOATING: Final = ("double_value", "double_list", "float_vector")


class Invalid(NamedTuple):
    """The request itself is wrong."""

    fields: frozenset[str]


class Broken(NamedTuple):
    """Rules would be broken: sort and subject of each violation."""

    violations: frozenset[tuple[str, str]]


class Late(NamedTuple):
    """Only too late."""

    features: frozenset[str]


class Accepted(NamedTuple):
    """The features after it."""

    after: dict[str, Stored]


Verdict = Invalid | Broken | Late | Accepted


class _Unfit(Exception):
    """The operation does not fit what is stored or declared."""


class Step:
    """What an update does to features; `invalid` says if it cannot be done."""

    def __init__(
        self, declared: PlainType | None, before: Features, update: PlainUpdate, now: int
    ) -> None:
        self.before = before
        self.after = dict(before)
        self.changed: set[str] = set()
        self.late: dict[str, Value | None] = {}
        self.refused: set[str] = set()
        self.invalid: set[str] = set()
        self._specs = declared.specs if declared else {}
        self._now = now
        seen: set[str] = set()
        for index, item in enumerate(update.items):
            if item.name in seen:
                self.invalid.add(f"updates[{index}].name")
            seen.add(item.name)
            if not self._is_storable(item):
                self.invalid.add(f"updates[{index}].{item.verb}")
                continue
            try:
                self._take(item)
            except _Unfit:
                self.invalid.add(f"updates[{index}].{item.verb}")
        if self.changed:
            self._complete()

    def _is_storable(self, item: Item) -> bool:
        spec = self._specs.get(item.name)
        return item.value is None or bool(spec and spec.non_finite) or is_finite(item.value)

    def _take(self, item: Item) -> None:
        spec, current = self._specs.get(item.name), self.before.get(item.name)
        base = current.value if current else None
        if spec:
            if current is None or is_expired(spec, current, self._now):
                base = None if spec.default is None else Value(spec.kind, spec.default)
            if item.verb == "set":
                base = None
        value = _result(item, base)
        if spec and value and value.kind != spec.kind:
            raise _Unfit
        self._keep(item, value, current, spec)

    def _keep(
        self, item: Item, value: Value | None, current: Stored | None, spec: PlainSpec | None
    ) -> None:
        name = item.name
        event_time = self._now if item.event_time is None else item.event_time
        if current is None:
            if value:
                self.after[name] = Stored(value, event_time)
                self.changed.add(name)
            return
        policy = spec.late if spec else "KEEP_NEWEST"
        if event_time < current.event_time and item.verb not in COMMUTING and policy != "APPLY":
            if policy == "REJECT":
                self.refused.add(name)
            else:
                self.late[name] = (
                    _as_list(item.value) if item.verb == "append" and item.value else item.value
                )
        elif value is None:
            self.after.pop(name, None)
            self.changed.add(name)
        else:
            if item.verb in COMMUTING:
                event_time = max(event_time, current.event_time)
            if repr((value, event_time)) != repr((current.value, current.event_time)):
                self.after[name] = Stored(value, event_time)
                self.changed.add(name)

    def _complete(self) -> None:
        for name, spec in self._specs.items():
            if spec.default is not None and name not in self.after:
                self.after[name] = Stored(Value(spec.kind, spec.default), EARLIEST)
                self.changed.add(name)


def judge(declared: PlainType | None, before: Features, update: PlainUpdate, now: int) -> Verdict:
    """What must come of an update at `now`, whatever code decides it."""
    step = Step(declared, before, update, now)
    if step.invalid:
        return Invalid(frozenset(step.invalid))
    broken = frozenset(_broken(declared, step, update.entity_id, now)) if declared else frozenset()
    if broken:
        return Broken(broken | {("LATE_VALUE", name) for name in step.refused})
    if step.refused:
        return Late(frozenset(step.refused))
    return Accepted(step.after)


def breaks(
    declared: PlainType,
    before: Features,
    after: Features,
    changed: frozenset[str],
    entity_id: str,
    now: int,
) -> Iterator[tuple[str, str]]:
    """Everything that a step to `after` breaks."""
    for name, stored in after.items():
        yield from value_breaks(declared, name, stored.value)
    for name, spec in declared.specs.items():
        if spec.required and name not in after:
            yield "REQUIRED", name
    view = View(_seen(declared, after, now), _seen(declared, before, now), changed, now, entity_id)
    for rule in declared.rules:
        if not _holds(rule, view):
            yield "RULE", rule.name


def stored_breaks(
    declared: PlainType, features: Features, entity_id: str, now: int
) -> frozenset[tuple[str, str]]:
    """Everything that stored features break, once they have been given their defaults."""
    given = {
        name: Stored(Value(spec.kind, spec.default), EARLIEST)
        for name, spec in declared.specs.items()
        if spec.default is not None and name not in features
    }
    after = {**features, **given}
    return frozenset(breaks(declared, features, after, frozenset(given), entity_id, now))


def is_finite(value: Value) -> bool:
    return value.kind not in FLOATING or all(map(math.isfinite, _elements(value)))


def is_expired(spec: PlainSpec, stored: Stored, now: int) -> bool:
    return spec.ttl > 0 and stored.event_time + spec.ttl <= now


def _broken(declared: PlainType, step: Step, entity_id: str, now: int) -> Iterator[tuple[str, str]]:
    for name, value in step.late.items():
        if value:
            yield from value_breaks(declared, name, value)
    if step.changed:
        changed = frozenset(step.changed)
        yield from breaks(declared, step.before, step.after, changed, entity_id, now)


def value_breaks(declared: PlainType, name: str, value: Value) -> Iterator[tuple[str, str]]:
    """Everything that a value of a feature breaks by itself."""
    spec = declared.specs.get(name)
    if spec is None:
        if declared.closed:
            yield "ADDITIONAL_FEATURE", name
        return
    if value.kind != spec.kind:
        yield "TYPE", name
        return
    each = _elements(value)
    if not (spec.non_finite or is_finite(value)):
        yield "NON_FINITE", name
    low = -math.inf if spec.minimum is None else spec.minimum
    high = math.inf if spec.maximum is None else spec.maximum
    bounded = spec.minimum is not None or spec.maximum is not None
    if bounded and not all(low <= content <= high for content in each):
        yield "RANGE", name
    if spec.allowed and not all(content in spec.allowed for content in each):
        yield "ALLOWED_VALUES", name
    if spec.max_length and len(value.content) > spec.max_length:
        yield "MAX_LENGTH", name
    if spec.pattern and not all(re.fullmatch(spec.pattern, content) for content in each):
        yield "PATTERN", name
    if spec.dimension and len(value.content) != spec.dimension:
        yield "DIMENSION", name


def _elements(value: Value) -> tuple[Any, ...]:
    """The elements of a list or of a vector; of anything else itself."""
    return value.content if isinstance(value.content, tuple) else (value.content,)


def _seen(declared: PlainType, features: Features, now: int) -> dict[str, Any]:
    """What rules see of features: not what has expired."""
    specs = declared.specs
    return {
        name: Moment(stored.value.content)
        if stored.value.kind == "timestamp_value"
        else stored.value.content
        for name, stored in features.items()
        if name not in specs or not is_expired(specs[name], stored, now)
    }


def _holds(rule: PlainRule, view: View) -> bool:
    try:
        return rule.holds(view) is True
    except (KeyError, TypeError, ZeroDivisionError):
        return False


def _as_list(value: Value) -> Value:
    """What an append appends."""
    if isinstance(value.content, tuple):
        return value
    return Value(value.kind.removesuffix("_value") + "_list", (value.content,))


def _result(item: Item, base: Value | None) -> Value | None:
    """What an operation makes of a value."""
    if item.value is None:
        return None
    kind, content = _as_list(item.value) if item.verb == "append" else item.value
    if item.verb == "append":
        if kind not in LISTS:
            raise _Unfit
        content = (*(base.content if base and base.kind == kind else ()), *content)
        content = content[-item.max_length :] if item.max_length else content
    fitting = {"increment": NUMBERS, "maximum": ORDERED, "minimum": ORDERED}.get(item.verb)
    if (fitting and kind not in fitting) or (base and base.kind != kind):
        raise _Unfit
    if item.verb in ("maximum", "minimum") and content != content:
        raise _Unfit
    if base is None or item.verb in ("set", "append"):
        return Value(kind, content)
    if item.verb == "increment":
        return Value(kind, base.content + content)
    better = content > base.content if item.verb == "maximum" else content < base.content
    return Value(kind, content) if better else base
