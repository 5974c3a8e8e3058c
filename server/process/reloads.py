"""The metrics of all watched files together, since a metric may come from one source alone."""

from collections.abc import Iterator, Sequence
from typing import Any

from server.process.watched_files import WatchedFiles
from telemetry.metrics import Metric, MetricKind, Sample


class Reloads:
    """Implements MetricSource of telemetry.metrics."""

    def __init__(self, files: Sequence[WatchedFiles[Any]]) -> None:
        self._files = files

    def metrics(self) -> Iterator[Metric]:
        if self._files:
            yield Metric(
                "featom_reload_failures_total",
                "Looks, a second apart, that found files which cannot be used.",
                MetricKind.COUNTER,
                [Sample({"file": each.label}, each.failures) for each in self._files],
            )
