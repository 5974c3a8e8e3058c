"""Prints what the replay showed."""

from collections import Counter
from collections.abc import Sequence
from statistics import median, quantiles

from rich.console import Console
from rich.table import Table

from examples.flights.comparison import Comparison
from examples.flights.replay import Replay
from examples.flights.truth import Truth

LISTED = 10


def print_rates(console: Console, replay: Replay) -> None:
    """How fast it went."""
    tally, seconds = replay.tally, replay.seconds
    console.print(
        f"{tally.flights:,} flights, {tally.updates:,} updates in {seconds:.1f} s: "
        f"{tally.flights / seconds:,.0f} flights/s, {tally.updates / seconds:,.0f} updates/s"
    )


def print_latencies(console: Console, replay: Replay, truth: Truth) -> None:
    """How long an update took, for each entity type: from many cold entities to few hot ones."""
    table = Table("entity type", box=None, header_style="bold")
    for title in ("entities", "updates", "p50 ms", "p99 ms", "max ms"):
        table.add_column(title, justify="right")
    entities = Counter(entity_type for entity_type, _ in truth)
    for entity_type, count in entities.most_common():
        seconds = replay.tally.latencies[entity_type]
        times = (median(seconds), _p99(seconds), max(seconds))
        cells = (f"{1_000 * time:,.1f}" for time in times)
        table.add_row(entity_type, f"{count:,}", f"{len(seconds):,}", *cells)
    console.print(table)


def print_counts(console: Console, replay: Replay) -> None:
    """What went other than straight on."""
    tally = replay.tally
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in tally.retries.most_common())
    console.print(f"retries: {tally.retries.total():,}" + (f" ({reasons})" if reasons else ""))
    console.print(f"replays: {tally.replays:,} updates were found applied by an earlier attempt")
    console.print(f"late values: {tally.late_values:,} did not replace newer ones")


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Whether every feature is what it must be."""
    differences = comparison.differences
    for difference in differences[:LISTED]:
        console.print(f"  {difference}", style="red", markup=False, soft_wrap=True)
    if len(differences) > LISTED:
        console.print(f"  and {len(differences) - LISTED:,} more", style="red")
    console.print(
        f"compared {comparison.aggregates:,} aggregates, {comparison.features:,} features: "
        f"{len(differences):,} differences",
        style="red" if differences else "green",
    )


def _p99(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=100, method="inclusive")[98] if len(seconds) > 1 else seconds[0]
