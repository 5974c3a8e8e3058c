"""Figures: what a part of Featom counts about itself, for whoever watches it.

A part counts in plain numbers on the event loop, without locks. They are read from another thread
at any time, so a reading may be a moment old, and counting costs next to nothing.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple, Protocol


class Distribution:
    """How often which size was seen: counts in fixed buckets, and the sum of all sizes."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` rise; each is the largest size of its bucket."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """One for each bound, and the last one for what is larger than all."""
        self.total = 0.0

    def observe(self, size: float) -> None:
        self.counts[bisect_left(self.bounds, size)] += 1
        self.total += size


class FigureKind(Enum):
    """What may happen to a figure."""

    COUNTER = auto()
    """It only rises; its name ends in `_total`."""
    GAUGE = auto()
    """It rises and falls."""
    DISTRIBUTION = auto()


class Reading(NamedTuple):
    """A figure's value for one combination of labels."""

    labels: Mapping[str, str]
    value: "float | Distribution"
    """A Distribution if the figure is of that kind, or else a number."""


class Figure(NamedTuple):
    """Something that is counted or measured. Every reading has the same labels."""

    name: str
    """After the rules of Prometheus: base units, and the unit in the name."""
    meaning: str
    kind: FigureKind
    readings: Sequence[Reading]


class FigureSource(Protocol):
    """A part that counts."""

    def figures(self) -> Iterable[Figure]:
        """The figures as they are now. Called from any thread, so it must neither wait nor change
        anything.
        """


def counter(name: str, meaning: str, value: float) -> Figure:
    """A counter without labels."""
    return Figure(name, meaning, FigureKind.COUNTER, [Reading({}, value)])


def gauge(name: str, meaning: str, value: float) -> Figure:
    """A gauge without labels."""
    return Figure(name, meaning, FigureKind.GAUGE, [Reading({}, value)])


def distribution(name: str, meaning: str, value: Distribution) -> Figure:
    """A distribution without labels."""
    return Figure(name, meaning, FigureKind.DISTRIBUTION, [Reading({}, value)])
