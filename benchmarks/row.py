"""What the rounds of one workload come to, and how that compares."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.workload import Sample, Workload


@dataclass(frozen=True)
class Row:
    """All rounds of one workload."""

    workload: Workload
    samples: Sequence[Sample]

    @property
    def rates(self) -> list[float]:
        return [sample.rate for sample in self.samples]

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    def median(self, of: Callable[[Sample], float | None]) -> float | None:
        """The median of what `of` takes from each sample; None if the workload has none."""
        known = [value for value in map(of, self.samples) if value is not None]
        return statistics.median(known) if known else None

    def ratio(self, other: "Row") -> float:
        """How often the other's rate: the median over the rounds, each compared with its own."""
        return statistics.median(
            mine / theirs for mine, theirs in zip(self.rates, other.rates, strict=True)
        )


def is_met(row: Row, rows: Sequence[Row]) -> bool | None:
    """Whether a row reached its target; None if it has none or its counterpart was not measured."""
    target = row.workload.target
    if target is None:
        return None
    if target.relative_to is None:
        return row.rate >= target.minimum
    other = find(rows, target.relative_to)
    return None if other is None else row.ratio(other) >= target.minimum


def find(rows: Sequence[Row], name: str) -> Row | None:
    return next((row for row in rows if row.workload.name == name), None)
