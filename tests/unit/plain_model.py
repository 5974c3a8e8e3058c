"""What updates mean, written down a second time and as plainly as can be.

A feature is a tuple of kind, content and event time; nothing here is shared with the domain but the
words for what is asked.
"""

import math
from collections.abc import Collection, Iterator
from typing import Any, TypeAlias

from domain.operations import Append, Increment, Maximum, Minimum, Operation, Remove, SetValue
from domain.update import Update
from domain.values import ValueKind

PlainFeature: TypeAlias = tuple[ValueKind, Any, int]

NUMBERS = (ValueKind.INT64, ValueKind.DOUBLE)
ORDERED = (*NUMBERS, ValueKind.TIMESTAMP)
LISTS = {
    ValueKind.BOOL: ValueKind.BOOL_LIST,
    ValueKind.INT64: ValueKind.INT64_LIST,
    ValueKind.DOUBLE: ValueKind.DOUBLE_LIST,
    ValueKind.STRING: ValueKind.STRING_LIST,
}
FITTING: dict[type[Operation], Collection[ValueKind]] = {
    SetValue: tuple(ValueKind),
    Increment: NUMBERS,
    Maximum: ORDERED,
    Minimum: ORDERED,
    Append: LISTS.values(),
}


class Refused(Exception):
    """The update does not fit."""


class PlainModel:
    """The features of one entity."""

    def __init__(self, last_commit: int = 0) -> None:
        self.features: dict[str, PlainFeature] = {}
        self.changed_in: dict[str, int] = {}
        self.version = 0
        self.last_commit = last_commit
        self.late: set[str] = set()
        """What came too late in the last update."""

    def apply(self, update: Update, now: int) -> None:
        """Raises Refused, and is then as it was."""
        commit_time = max(now, self.last_commit + 1_000)
        after = dict(self.features)
        late = set()
        told = set()
        for name, operation, event_time in _asked(update, commit_time):
            before = self.features.get(name)
            new = _result(operation, before)
            commutes = isinstance(operation, Increment | Maximum | Minimum)
            if before and not commutes and event_time < before[2]:
                late.add(name)
            elif new is None:
                after.pop(name, None)
            else:
                after[name] = (*new, max(event_time, before[2]) if before else event_time)
                if before and after[name] == before and _tells(operation, event_time, before):
                    told.add(name)
        if after != self.features:
            self.version += 1
            self.changed_in = {
                name: self.changed_in[name]
                if after[name] == self.features.get(name)
                else self.version
                for name in after
            }
        if late or told or after != self.features:
            self.last_commit = commit_time
        self.features = after
        self.late = late


def _asked(update: Update, commit_time: int) -> Iterator[tuple[str, Operation, int]]:
    default = commit_time if update.event_time is None else update.event_time
    for item in update.updates:
        assert item.operation is not None
        yield item.name, item.operation, default if item.event_time is None else item.event_time


def _tells(operation: Operation, event_time: int, before: PlainFeature) -> bool:
    """Whether an operation without effect is kept for reads as of an event time."""
    assert operation.value is not None
    match operation:
        case SetValue():
            return False
        case Increment():
            return bool(operation.value.content != 0)
    return (operation.value.kind, operation.value.content, event_time) != before


def _result(operation: Operation, before: PlainFeature | None) -> tuple[ValueKind, Any] | None:
    if isinstance(operation, Remove):
        return None
    kind, content = operation.value.kind, operation.value.content
    if isinstance(operation, Append) and kind in LISTS:
        kind, content = LISTS[kind], (content,)
    if kind not in FITTING[type(operation)] or (before and before[0] is not kind):
        raise Refused
    if isinstance(operation, Append):
        elements = [*(before[1] if before else ()), *content]
        while operation.max_length and len(elements) > operation.max_length:
            elements.pop(0)
        return kind, tuple(elements)
    if before is None or isinstance(operation, SetValue):
        return kind, content
    if isinstance(operation, Increment):
        return kind, _sum(kind, before[1], content)
    smaller, larger = sorted((before[1], content))
    return kind, larger if isinstance(operation, Maximum) else smaller


def _sum(kind: ValueKind, one: Any, other: Any) -> Any:
    total = one + other
    if kind is ValueKind.INT64 and not -(2**63) <= total < 2**63:
        raise Refused
    if kind is ValueKind.DOUBLE and not math.isfinite(total):
        raise Refused
    return total
