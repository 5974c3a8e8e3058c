"""What it takes to ask a rule about the values at hand, estimated before it is asked.

In microseconds of a machine of today, and rather too many than too few. Nothing is measured: all
servers decide the same about the same values.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from domain.transition import Transition
from domain.values import FeatureValue
from repository.rules.reading import Sample

SMALL: Final = 65_536
"""Bytes of an aggregate in which only macros, sums and searches can take long."""

_ASKING: Final = 5.0
_ELEMENT: Final = 0.08
"""To hand over an element of a list."""
_BYTE: Final = 0.001
"""To hand over a byte."""
_READ: Final = 0.0015
"""A byte, each time an expression names what it is of: to compare it, or to count characters."""
_TOKEN: Final = 0.015
"""A token of a macro, for each element."""
_INNER: Final = 0.003
"""A byte of what a macro reads, for each element and each time it names it."""
_WEIGHT: Final = 0.5
"""A unit of the weight of regular expressions; see `regexes`."""
_MATCHED: Final = 0.01
"""A byte that a regular expression goes through."""
_SUM: Final = 0.01
"""A byte that is copied to add texts or lists up."""
_SEARCH: Final = 0.000_05
"""A byte that is looked for in a byte."""
_ITERATIONS: Final = 10_000
"""After which the runtime ends an evaluation by itself."""


class Size(NamedTuple):
    """How large a value is."""

    elements: int
    bytes: int


_NONE: Final[Mapping[str, Size]] = MappingProxyType({})


class Sizes:
    """How large the values of a transition are; each is looked at once for all rules."""

    def __init__(self, transition: Transition, known: Mapping[str, Size] = _NONE) -> None:
        """`known` are features that need not be looked at."""
        self._transition = transition
        self._after = {**known}
        self._before = {**known}

    def read_by(self, reading: Sample) -> Size:
        """All that an expression reads."""
        return _total([*self._features(reading.features), *self._previous(reading)])

    def inside(self, reading: Sample) -> int:
        """The bytes of what its macros read beside the elements."""
        if reading.in_macros is None:
            return self.read_by(reading).bytes
        named = reading.in_macros
        return _total([*self._features(named), *self._of_previous(named)]).bytes

    def _features(self, names: frozenset[str] | None) -> Iterable[Size]:
        transition = self._transition
        asked = transition.names_after() if names is None else names
        return _sizes(asked, self._after, transition.after)

    def _previous(self, reading: Sample) -> Iterable[Size]:
        if "previous" not in reading.variables:
            return ()
        return self._of_previous(reading.previous)

    def _of_previous(self, names: frozenset[str] | None) -> Iterable[Size]:
        transition = self._transition
        asked = transition.names_before() if names is None else names
        return _sizes(asked, self._before, transition.before)


def cost_of(reading: Sample, regexes_weight: int, sizes: Sizes) -> float:
    """The microseconds of one evaluation."""
    elements, size = sizes.read_by(reading)
    cost = _ASKING + elements * _ELEMENT + size * (_BYTE + reading.reads * _READ)
    times, inside = 1, 0
    if reading.has_macros:
        times, inside = min(elements, _ITERATIONS), sizes.inside(reading)
        cost += times * (reading.macro_tokens * _TOKEN + reading.macro_reads * inside * _INNER)
    if reading.regexes:
        cost += times * regexes_weight * _WEIGHT
        cost += reading.regexes * (size + times * inside) * _MATCHED
    if reading.has_sums:
        cost += reading.reads * size * _SUM
    if reading.has_searches:
        cost += times * reading.reads * size * size * _SEARCH
    return cost


def list_size(elements: int, texts: int = 0) -> Size:
    """That of a list or vector, whose texts are so long together."""
    return Size(elements, 8 + 8 * elements + texts)


def _sizes(
    names: Iterable[str], known: dict[str, Size], value_of: Callable[[str], FeatureValue | None]
) -> Iterable[Size]:
    for name in names:
        size = known.get(name)
        if size is None:
            size = known[name] = _size(value_of(name))
        yield size


def _size(value: FeatureValue | None) -> Size:
    content = None if value is None else value.content
    if isinstance(content, tuple):
        texts = sum(map(len, content)) if content and isinstance(content[0], str) else 0
        return list_size(len(content), texts)
    return Size(1, len(content) if isinstance(content, str | bytes) else 8)


def _total(sizes: Iterable[Size]) -> Size:
    elements = total = 0
    for each in sizes:
        elements += each.elements
        total += each.bytes
    return Size(elements, total)
