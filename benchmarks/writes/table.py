"""The rows of updates as tables."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from benchmarks.grid import Grid
from benchmarks.row import Row, find
from benchmarks.table import NOTHING, number
from benchmarks.workload import Sample
from benchmarks.writes.goals import GOALS, failures
from benchmarks.writes.sample import WriteSample

HEADING: Final = (
    "workload",
    "median /s",
    "min /s",
    "max /s",
    "ratio to echo",
    "p50 ms",
    "p99 ms",
    "CPU µs",
    "PostgreSQL µs",
    "conflicts",
    "failures",
    "goals",
)
TEXTS: Final = frozenset({"workload", "goals"})
ANSWERS: Final = {True: "yes", False: "NO", None: "not measured"}


def table(rows: Sequence[Row], notes: Sequence[str]) -> Grid:
    """All there is to know about one run."""
    return Grid(HEADING, [_cells(row, rows) for row in rows], TEXTS, notes)


def delays_table(measured: Mapping[float, Sequence[Row]], notes: Sequence[str]) -> Grid:
    """The rates and 99th percentiles by the time added to each commit, in milliseconds."""
    heading = ["workload", *(f"+{delay:g} ms: /s (p99 ms)" for delay in measured)]
    names = [row.workload.name for row in next(iter(measured.values()))]
    body = [
        [name, *(_rate_and_tail(find(rows, name)) for rows in measured.values())] for name in names
    ]
    return Grid(heading, body, TEXTS, notes)


def _rate_and_tail(row: Row | None) -> str:
    if row is None:
        return NOTHING
    return f"{row.rate:,.0f} ({number(row.median(lambda sample: sample.p99_ms), 0)})"


def _cells(row: Row, rows: Sequence[Row]) -> list[str]:
    echo = find(rows, "echo")
    return [
        row.workload.name,
        f"{row.rate:,.0f}",
        f"{min(row.rates):,.0f}",
        f"{max(row.rates):,.0f}",
        number(row.ratio(echo) if echo else None, 2),
        number(row.median(lambda sample: sample.p50_ms), 1),
        number(row.median(lambda sample: sample.p99_ms), 1),
        number(row.median(lambda sample: sample.cpu_us), 0),
        number(row.median(_write(lambda sample: sample.postgres_us)), 0),
        _percent(row.median(_write(lambda sample: sample.conflicts))),
        _failures(row),
        _goals(row, rows),
    ]


def _write(of: Callable[[WriteSample], float | None]) -> Callable[[Sample], float | None]:
    return lambda sample: of(sample) if isinstance(sample, WriteSample) else None


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{share:.1%}"


def _failures(row: Row) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in failures(row).items()) or "0"


def _goals(row: Row, rows: Sequence[Row]) -> str:
    goals = GOALS.get(row.workload.name, ())
    return "; ".join(f"{goal}: {ANSWERS[goal.is_met(row, rows)]}" for goal in goals) or NOTHING
