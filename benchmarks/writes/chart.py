"""The table of updates as a picture."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from benchmarks.row import Row
from benchmarks.writes.goals import GOALS, Rate

COLOURS = {"echo": "#9aa0a6", "article": "#d9822b", "pipeline": "#1f5fa8", "update": "#4d9ad6"}
MEANING = {
    "echo": "gRPC alone",
    "article": "the article's design",
    "pipeline": "Featom in process",
    "update": "Featom over gRPC",
}
LABELS = {
    "echo": "an empty call",
    "article_uniform": "many entities, by a mapper",
    "article_hot": "one entity, by a mapper",
    "article_sql_uniform": "many entities, SQL by hand",
    "article_sql_hot": "one entity, SQL by hand",
    "article_sql_queued": "one entity, SQL by hand, in a queue",
    "pipeline_uniform": "many entities",
    "pipeline_uniform_ids": "many entities, with request ids",
    "pipeline_hot": "one entity",
    "pipeline_hot_two_servers": "one entity, two servers",
    "update_uniform": "many entities",
    "update_typed": "many entities of a type with rules",
    "update_hot": "one entity",
    "update_stream": "streams of 100 updates",
    "update_batch": "batches of 100 updates",
}
"""What the bars are called; benchmarks/README.md describes each workload."""


def draw(rows: Sequence[Row], file: Path) -> None:
    """A bar for each rate, its range over the rounds, and a mark for each absolute goal."""
    figure = Figure(figsize=(9, 0.42 * len(rows) + 1.6), layout="constrained")
    axes = figure.subplots()
    legend: dict[str, Artist] = {}
    for place, row in enumerate(rows):
        kind = row.workload.name.partition("_")[0]
        low, high = min(row.rates), max(row.rates)
        axes.barh(place, row.rate, height=0.7, color=COLOURS[kind])
        axes.hlines(place, low, high, color="#333333", lw=1.5)
        legend.setdefault(MEANING[kind], Patch(color=COLOURS[kind]))
        axes.text(high * 1.06, place, f"{row.rate:,.0f}", va="center", fontsize=9)
        for goal in GOALS.get(row.workload.name, ()):
            if isinstance(goal, Rate) and goal.of is None:
                mark = axes.vlines(goal.minimum, place - 0.42, place + 0.42, color="#b00020", lw=2)
                legend.setdefault("goal", mark)
    axes.set_yticks(range(len(rows)), [LABELS[row.workload.name] for row in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(5, 60_000)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("updates a second (gRPC alone: calls a second), on a logarithmic scale")
    axes.grid(axis="x", which="major", color="#e0e0e0")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title("Updates: 50 features, 5 changed, durable, with history", loc="left")
    figure.legend(list(legend.values()), list(legend), loc="outside lower center", ncol=5)
    file.parent.mkdir(exist_ok=True)
    figure.savefig(file, dpi=110)
