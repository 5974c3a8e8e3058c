"""What the watched files tell of themselves, all together: one figure may come from one source."""

from collections.abc import Iterator, Sequence
from typing import Any

from server.process.watched_files import WatchedFiles
from telemetry.metrics import Figure, FigureKind, Reading


class Reloads:
    """Implements FigureSource of domain.figures."""

    def __init__(self, files: Sequence[WatchedFiles[Any]]) -> None:
        self._files = files

    def figures(self) -> Iterator[Figure]:
        if self._files:
            yield Figure(
                "featom_reload_failures_total",
                "Looks, a second apart, that found files which cannot be used.",
                FigureKind.COUNTER,
                [Reading({"file": each.label}, each.failures) for each in self._files],
            )
