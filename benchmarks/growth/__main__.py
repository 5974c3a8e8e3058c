"""`python -m benchmarks.growth`: the rates of updates and reads as the store grows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from benchmarks import machine, report
from benchmarks.grid import Grid
from benchmarks.growth import chart
from benchmarks.growth.curves import AGGREGATES, CHANGES, FEATURES, Growth
from benchmarks.growth.point import Curve
from benchmarks.writes.rig import WriteRig

PICTURE: Final = Path(__file__).parents[1] / "pictures" / "growth.png"
HEADING: Final = (
    "what grows",
    "to",
    "updates/s",
    "p99 ms",
    "CPU µs",
    "aggregates read/s",
    "p99 ms of 100",
)


def main(
    aggregates: Annotated[int, typer.Option(help="Grow to so many.", min=1_000)] = 200_000,
    features: Annotated[int, typer.Option(help="Grow to so many.", min=10)] = FEATURES[-1],
    changes: Annotated[int, typer.Option(help="Grow to so many.", min=0)] = 2_000_000,
    full: Annotated[
        bool, typer.Option("--full", help="A million aggregates and 20 million changes: 20 GB.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="Length of each measurement.", min=0.2)] = 2,
    write: Annotated[bool, typer.Option(help="Write the table and the picture.")] = True,
) -> None:
    """Measure three curves and write the table and the picture of benchmarks/README.md."""
    with WriteRig(aggregates=0) as rig:
        growth = Growth(rig, seconds, report.progress)
        curves = [
            growth.by_aggregates(AGGREGATES[-1] if full else aggregates),
            growth.by_features(features),
            growth.by_changes(CHANGES[-1] if full else changes),
        ]
    grid = Grid(HEADING, _lines(curves), frozenset({"what grows"}), _notes(curves, seconds))
    grid.show()
    if write:
        report.write("growth", grid.markdown())
        chart.draw(curves, PICTURE)


def _lines(curves: Sequence[Curve]) -> list[list[str]]:
    return [
        [
            curve.name,
            f"{point.size:,}",
            f"{point.updates:,.0f}",
            f"{point.updates_p99_ms:.0f}",
            f"{point.updates_cpu_us:.0f}",
            f"{point.reads:,.0f}",
            f"{point.reads_p99_ms:.0f}",
        ]
        for curve in curves
        for point in curve.points
    ]


def _notes(curves: Sequence[Curve], seconds: float) -> list[str]:
    ends = [
        f"{curve.name} times {curve.points[-1].size / max(1, curve.points[0].size):,.0f}: "
        f"updates times {curve.points[-1].updates / curve.points[0].updates:.2f}, "
        f"reads times {curve.points[-1].reads / curve.points[0].reads:.2f}"
        for curve in curves
        if curve.points[0].size
    ]
    return [f"{machine.today()}, {seconds:g} s a point. {'; '.join(ends)}.", machine.describe()]


if __name__ == "__main__":
    typer.run(main)
