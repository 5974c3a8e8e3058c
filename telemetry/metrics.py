"""Metrics: what a part of Featom counts about itself.

A part counts in plain numbers on the event loop, without locks. They are read from another thread
at any time, so a reading may be a moment old, and counting costs next to nothing.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple, Protocol


class Histogram:
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


class MetricKind(Enum):
    """What may happen to a metric."""

    COUNTER = auto()
    """It only rises; its name ends in `_total`."""
    GAUGE = auto()
    """It rises and falls."""
    HISTOGRAM = auto()


class Sample(NamedTuple):
    """A metric's value for one combination of labels."""

    labels: Mapping[str, str]
    value: "float | Histogram"
    """A Histogram if the metric is of that kind, or else a number."""


class Metric(NamedTuple):
    """Something that is counted or measured. Every reading has the same labels."""

    name: str
    """After the rules of Prometheus: base units, and the unit in the name."""
    meaning: str
    kind: MetricKind
    samples: Sequence[Sample]


class MetricSource(Protocol):
    """A part that counts."""

    def metrics(self) -> Iterable[Metric]:
        """The metrics as they are now. Called from any thread, so it must neither wait nor change
        anything.
        """


def counter(name: str, meaning: str, value: float) -> Metric:
    """A counter without labels."""
    return Metric(name, meaning, MetricKind.COUNTER, [Sample({}, value)])


def gauge(name: str, meaning: str, value: float) -> Metric:
    """A gauge without labels."""
    return Metric(name, meaning, MetricKind.GAUGE, [Sample({}, value)])


def histogram(name: str, meaning: str, value: Histogram) -> Metric:
    """A distribution without labels."""
    return Metric(name, meaning, MetricKind.HISTOGRAM, [Sample({}, value)])
