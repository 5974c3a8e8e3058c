"""What the rows are to reach. Each goal is about one row and perhaps compares it with another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.row import Row, find
from benchmarks.writes.sample import WriteSample


class Goal(Protocol):
    """`str(goal)` says it in a few words."""

    def is_met(self, row: Row, rows: Sequence[Row]) -> bool | None:
        """None if it cannot be told, because the other row was not measured."""


@dataclass(frozen=True)
class Rate:
    """So many a second, or so many times the rate of another row."""

    minimum: float
    of: str | None = None

    def __str__(self) -> str:
        return f"≥ {self.minimum:g} times {self.of}" if self.of else f"≥ {self.minimum:,.0f}/s"

    def is_met(self, row: Row, rows: Sequence[Row]) -> bool | None:
        if self.of is None:
            return row.rate >= self.minimum
        other = find(rows, self.of)
        return None if other is None else row.ratio(other) >= self.minimum


@dataclass(frozen=True)
class Tail:
    """The 99th percentile is below so many milliseconds, or so many times that of another row."""

    maximum: float
    of: str | None = None

    def __str__(self) -> str:
        what = f"{self.maximum:g} times {self.of}'s" if self.of else f"{self.maximum:g} ms"
        return f"p99 ≤ {what}"

    def is_met(self, row: Row, rows: Sequence[Row]) -> bool | None:
        mine = row.median(lambda sample: sample.p99_ms)
        if mine is None:
            return None
        if self.of is None:
            return mine <= self.maximum
        other = find(rows, self.of)
        theirs = other.median(lambda sample: sample.p99_ms) if other else None
        return None if theirs is None else mine <= self.maximum * theirs


@dataclass(frozen=True)
class NoFailures:
    """Not one update failed, in any round."""

    def __str__(self) -> str:
        return "0 failures"

    def is_met(self, row: Row, rows: Sequence[Row]) -> bool | None:
        return not any(failures(row).values())


def failures(row: Row) -> dict[str, int]:
    """All updates that failed, by the name of the error."""
    found: dict[str, int] = {}
    for sample in row.samples:
        if isinstance(sample, WriteSample):
            for name, count in sample.failures.items():
                found[name] = found.get(name, 0) + count
    return found


GOALS: Mapping[str, Sequence[Goal]] = {
    "pipeline_uniform": (
        Rate(9_000),
        Rate(15, "article_uniform"),
        Rate(15, "article_sql_uniform"),
        NoFailures(),
    ),
    "pipeline_hot": (
        Rate(18_000),
        Rate(100, "article_hot"),
        Rate(100, "article_sql_hot"),
        NoFailures(),
    ),
    "pipeline_hot_two_servers": (Rate(10_000), Tail(100), NoFailures()),
    "update_uniform": (Rate(0.5, "echo"),),
    "update_typed": (Rate(0.85, "update_uniform"),),
    "update_hot": (Rate(0.5, "echo"), Rate(0.9, "update_uniform"), Tail(1.5, "update_uniform")),
    "update_stream": (Rate(1.5, "update_uniform"),),
    "update_batch": (Rate(8_000),),
}
