"""The rows as text, the heading first."""

from collections.abc import Sequence

from benchmarks.row import Row, find, is_met

NOTHING = "-"
TEXTS = {"workload", "unit", "target", "met"}  # the other columns are numbers


def lines(rows: Sequence[Row], relative_to: str) -> list[list[str]]:
    """All cells, without the columns in which no row has anything."""
    heading = [
        "workload",
        "unit",
        "median /s",
        "min /s",
        "max /s",
        f"ratio to {relative_to}",
        "p50 ms",
        "p99 ms",
        "CPU µs",
        "target",
        "met",
    ]
    body = [cells(row, rows, relative_to) for row in rows]
    kept = [
        column for column in range(len(heading)) if any(line[column] != NOTHING for line in body)
    ]
    return [[line[column] for column in kept] for line in [heading, *body]]


def cells(row: Row, rows: Sequence[Row], relative_to: str) -> list[str]:
    reference = find(rows, relative_to)
    return [
        row.workload.name,
        row.workload.unit,
        f"{row.rate:,.0f}",
        f"{min(row.rates):,.0f}",
        f"{max(row.rates):,.0f}",
        number(row.ratio(reference) if reference else None, 2),
        number(row.median(lambda sample: sample.p50_ms), 1),
        number(row.median(lambda sample: sample.p99_ms), 1),
        number(row.median(lambda sample: sample.cpu_us), 0),
        str(row.workload.target or NOTHING),
        {True: "yes", False: "NO", None: NOTHING}[is_met(row, rows)],
    ]


def number(value: float | None, digits: int) -> str:
    return NOTHING if value is None else f"{value:,.{digits}f}"
