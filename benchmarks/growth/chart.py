"""The curves as a picture: updates above, reads below."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from benchmarks.growth.point import Curve, Point

LOGARITHMIC: Final = {"aggregates", "features an aggregate"}
ROWS: Final[Sequence[tuple[str, str, Callable[[Point], float]]]] = (
    ("updates/s", "#1f5fa8", lambda point: point.updates),
    ("aggregates read/s", "#2e8b57", lambda point: point.reads),
)


def draw(curves: Sequence[Curve], file: Path) -> None:
    figure = Figure(figsize=(3.6 * len(curves), 5.6), layout="constrained")
    grid = figure.subplots(len(ROWS), len(curves), squeeze=False)
    for column, curve in enumerate(curves):
        for line, (label, colour, of) in enumerate(ROWS):
            axes = grid[line][column]
            rates = list(map(of, curve.points))
            axes.plot([point.size for point in curve.points], rates, "o-", color=colour)
            _dress(axes, curve.name)
            axes.set_ylim(0, 1.15 * max(rates))
            if column == 0:
                axes.set_ylabel(label)
    figure.suptitle("How rates change as the store grows")
    file.parent.mkdir(exist_ok=True)
    figure.savefig(file, dpi=110)


def _dress(axes: Axes, name: str) -> None:
    if name in LOGARITHMIC:
        axes.set_xscale("log")
    axes.set_xlabel(name)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(color="#e0e0e0")
    axes.spines[["top", "right"]].set_visible(False)
