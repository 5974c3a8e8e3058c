"""What operands make of one feature in the order of their events, however they arrived.

They stand on a base: the newest set or removal before them, or nothing. They come in the order of
their commits, and there may be a million of them:

- A `Run` keeps what operands of one sort make together, as these commute. It cannot be taken apart
  again, when a set turns out to stand between them.
- A `Series` keeps each operand: for lists, and where sorts are mixed.
"""

from collections import deque
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any, Final, NamedTuple, TypeAlias

from domain.change import Operand
from domain.operations import Append, Increment, Maximum, Minimum, OperationRefused, as_list
from domain.timestamp import Timestamp
from domain.values import ELEMENT_KINDS, FeatureValue, ValueKind, value_problem, value_size

_OPERAND_BYTES: Final = 400
"""Of memory, beside the value."""
_MANY: Final = 1_024
"""Operands that are looked through at once."""


class Position(NamedTuple):
    """Where an operation stands among those on its feature."""

    event_time: Timestamp
    version: int
    """Of its change: of one event time what was committed last counts last."""
    commit_time: Timestamp


class Result(NamedTuple):
    """What operands make of their base."""

    value: FeatureValue | None
    is_exact: bool
    """False: an operation did not fit what was before it, and was left out."""


class Run:
    """Operands of one sort, folded as they come."""

    size: Final = 0

    def __init__(self, base: FeatureValue | None, position: Position, operand: Operand) -> None:
        """Begin with the first of them that comes."""
        self.first = self.last = position
        self.version = position.version
        self._base = base
        self._default = operand.default
        self._sort = _sort(operand)
        self._fold = _FOLDS[self._sort[0]]
        self._operands = _value(operand).content
        self._folded = self._on_base()

    def takes(self, operand: Operand) -> bool:
        return _sort(operand) == self._sort

    def add(self, position: Position, operand: Operand) -> None:
        content = _value(operand).content
        self._operands = self._fold(self._operands, content)
        if self._folded is not None:
            # In the order of commits, as it was stored: another may differ in the last bits.
            self._folded = self._fold(self._folded, content)
        if position < self.first:
            self.first = position
            if operand.default != self._default:
                self._default = operand.default
                self._folded = self._on_base()
        self.last = max(self.last, position)
        self.version = max(self.version, position.version)

    def rebase(self, base: FeatureValue | None) -> None:
        """Stand on another base, which is before all of them."""
        self._base = base
        self._folded = self._on_base()

    def result(self) -> Result:
        value = FeatureValue(self._sort[1], self._folded)
        if self._folded is None or value_problem(value, non_finite=True):
            return Result(self._base, False)
        return Result(value, True)

    def _on_base(self) -> Any:
        """None: they do not fit it."""
        base = self._default if self._base is None else self._base
        if base is None:
            return self._operands
        return self._fold(base.content, self._operands) if base.kind is self._sort[1] else None


class Series:
    """Operands of any sorts, each by itself."""

    def __init__(self, base: FeatureValue | None, position: Position, operand: Operand) -> None:
        """Begin with the first of them that comes."""
        self.first = self.last = position
        self.version = position.version
        self.size = 0
        """Bytes of memory, about."""
        self._base = base
        self._placed: list[_Placed] = []
        self._enough = _MANY
        self.add(position, operand)

    def add(self, position: Position, operand: Operand) -> None:
        self._placed.append((position, operand))
        self.size += _size(operand)
        self.first = min(self.first, position)
        self.last = max(self.last, position)
        self.version = max(self.version, position.version)
        if len(self._placed) > self._enough:
            self._keep(_without_dropped(sorted(self._placed, key=_position)))
            self._enough = 2 * len(self._placed) + _MANY

    def rebase(self, base: FeatureValue | None, position: Position) -> None:
        """Stand on another base; at least one of them is after it."""
        self._base = base
        self._keep([each for each in self._placed if each[0] > position])

    def result(self) -> Result:
        ordered = [operand for _, operand in sorted(self._placed, key=_position)]
        value = ordered[0].default if self._base is None else self._base
        is_exact = True
        for are_appends, operands in groupby(ordered, key=_is_append):
            result = (_appended if are_appends else _applied)(value, operands)
            value, is_exact = result.value, is_exact and result.is_exact
        return Result(value, is_exact)

    def _keep(self, placed: list["_Placed"]) -> None:
        self._placed = placed
        self.size = sum(_size(operand) for _, operand in placed)
        self.version = max(position.version for position, _ in placed)


def _applied(value: FeatureValue | None, operands: Iterable[Operand]) -> Result:
    is_exact = True
    for operand in operands:
        try:
            value = operand.operation.result(value)
        except OperationRefused:
            is_exact = False
    return Result(value, is_exact)


def _appended(value: FeatureValue | None, operands: Iterable[Operand]) -> Result:
    """The same for appends, without a copy of the list for each."""
    kind = None if value is None else value.kind
    elements: deque[Any] = deque()
    if value is not None and kind in ELEMENT_KINDS:
        elements.extend(value.content)
    is_exact = True
    for operand in operands:
        operation = operand.operation
        assert isinstance(operation, Append)
        added = as_list(operation.value)
        if kind not in (None, added.kind):
            is_exact = False
            continue
        kind = added.kind
        elements.extend(added.content)
        while operation.max_length and len(elements) > operation.max_length:
            elements.popleft()
    if kind in ELEMENT_KINDS:
        value = FeatureValue(kind, tuple(elements))
    return Result(value, is_exact)


def _without_dropped(placed: list["_Placed"]) -> list["_Placed"]:
    """Without the appends of which every element was dropped to make room for later ones.

    Whatever comes in between can only drop more.
    """
    kept: deque[_Placed] = deque()
    lengths: deque[int] = deque()
    length = 0
    for each in placed:
        operation = each[1].operation
        if not isinstance(operation, Append):
            return list(placed)
        kept.append(each)
        lengths.append(len(as_list(operation.value).content))
        length += lengths[-1]
        while operation.max_length and len(kept) > 1:
            if length - lengths[0] < operation.max_length:
                break
            kept.popleft()
            length -= lengths.popleft()
    return list(kept)


_Placed: TypeAlias = tuple[Position, Operand]
_Fold: TypeAlias = Callable[[Any, Any], Any]
_FOLDS: Final[dict[type, _Fold]] = {
    Increment: lambda total, content: total + content,
    Maximum: max,
    Minimum: min,
}


def _position(placed: _Placed) -> Position:
    return placed[0]


def _is_append(operand: Operand) -> bool:
    return isinstance(operand.operation, Append)


def _value(operand: Operand) -> FeatureValue:
    value = operand.operation.value
    assert value is not None
    return value


def _sort(operand: Operand) -> tuple[type, ValueKind]:
    return type(operand.operation), _value(operand).kind


def _size(operand: Operand) -> int:
    return _OPERAND_BYTES + value_size(_value(operand))
