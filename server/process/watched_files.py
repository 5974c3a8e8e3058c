"""Files that may change while the server runs: certificates, keys, the authorization file.

Their whole contents are compared, once a second, in a thread. Times of files would not do:
Kubernetes swaps a link to a folder, and two changes may bear one time.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from server.settings import SettingsRefused
from telemetry.metrics import Metric, MetricKind, Sample

Loaded = TypeVar("Loaded")

_INTERVAL: Final = 1.0

log = logging.getLogger(__name__)


class ContentRefused(Exception):
    """What stands in the files cannot be used; the message says why, for people."""


class WatchedFiles(Generic[Loaded]):
    """What is loaded from files that belong together, and loaded anew when one of them changes."""

    def __init__(
        self,
        name: str,
        paths: Sequence[Path],
        load: Callable[[Sequence[bytes]], Loaded],
        label: str = "",
    ) -> None:
        """Load them, in this order. `load` raises ContentRefused; this then raises SettingsRefused.

        `name` says in messages what the files are, `label` in metrics.
        """
        self.label: Final = label or name
        self.failures = 0
        """Looks at them that found something which cannot be used."""
        self._name = name
        self._paths = paths
        self._load = load
        self._problem = ""
        try:
            self._contents = self._read()
            self.current = load(self._contents)
            """The newest that could be used."""
        except (OSError, ContentRefused) as error:
            raise SettingsRefused(f"{name}: {error}") from error

    def refresh(self) -> None:
        """Load what has changed; what cannot be used leaves the old in force and is logged once,
        until it is mended."""
        try:
            contents = self._read()
            if contents == self._contents:
                self._problem = ""
                return
            self.current = self._load(contents)
        except (OSError, ContentRefused) as error:
            self.failures += 1
            if str(error) != self._problem:
                log.error("%s: %s; what was loaded before stays in force", self._name, error)
            self._problem = str(error)
        else:
            self._contents = contents
            self._problem = ""
            log.info("%s: loaded anew", self._name)

    async def watch(self) -> None:
        """Refresh until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            try:
                await asyncio.to_thread(self.refresh)
            except Exception:
                self.failures += 1
                log.exception("%s: could not be looked at", self._name)

    def _read(self) -> list[bytes]:
        return [path.read_bytes() for path in self._paths]


class Reloads:
    """The metrics of all watched files together, since a metric may come from one source alone.

    Implements MetricSource of telemetry.metrics.
    """

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
