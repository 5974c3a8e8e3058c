"""Everything that the server tells Prometheus, made at each scrape."""

import asyncio
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from itertools import accumulate
from typing import Final

import grpc
import prometheus_client
from google.protobuf.descriptor import ServiceDescriptor
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import Metric as MetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from server.metrics.calls import CallMetrics
from telemetry.metrics import Histogram, Metric, MetricKind, MetricSource

_INTERVAL: Final = 0.1
"""Seconds between two looks at the event loop."""
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)


class MetricCollector(Collector):
    """Asks the sources for theirs whenever Prometheus asks for metrics."""

    def __init__(self, sources: Sequence[MetricSource]) -> None:
        self._sources = sources

    def describe(self) -> Iterator[MetricFamily]:
        """Nothing: the sources need not have any yet when this is registered."""
        return iter(())

    def collect(self) -> Iterator[MetricFamily]:
        for source in self._sources:
            for metric in source.metrics():
                yield _family(metric)


def _family(metric: Metric) -> MetricFamily:
    if metric.kind is MetricKind.HISTOGRAM:
        return _histogram(metric)
    make = CounterMetricFamily if metric.kind is MetricKind.COUNTER else GaugeMetricFamily
    names = _label_names(metric)
    family = make(metric.name, metric.meaning, labels=names)
    for labels, value in metric.samples:
        assert not isinstance(value, Histogram)
        family.add_metric([labels[name] for name in names], value)
    return family


def _histogram(metric: Metric) -> HistogramMetricFamily:
    names = _label_names(metric)
    family = HistogramMetricFamily(metric.name, metric.meaning, labels=names)
    for labels, value in metric.samples:
        assert isinstance(value, Histogram)
        total = value.total
        bounds = [*map(floatToGoString, value.bounds), "+Inf"]
        buckets = list(zip(bounds, accumulate(list(value.counts)), strict=True))
        family.add_metric([labels[name] for name in names], buckets, total)
    return family


def _label_names(metric: Metric) -> list[str]:
    return list(metric.samples[0].labels) if metric.samples else []


class EventLoopLag:
    """How late the event loop is: what everything in the process waits for when it is busy.

    Sleeps for a tenth of a second, again and again, and notes how much longer it took.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag = prometheus_client.Histogram(
            "featom_event_loop_lag_seconds",
            "How late the event loop wakes a task, looked at ten times a second.",
            buckets=_BUCKETS,
            registry=registry,
        )

    async def measure(self) -> None:
        """Measure until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + _INTERVAL
            await asyncio.sleep(_INTERVAL)
            self._lag.observe(max(0.0, clock() - due))


class Metrics:
    """A registry of its own, so that nothing else in the process adds to it."""

    def __init__(
        self, services: Sequence[ServiceDescriptor], sources: Sequence[MetricSource]
    ) -> None:
        # When a series began is of no use here, and each would be twice as many.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry: Final = CollectorRegistry()
        self.middleware: Final = CallMetrics(services, self.registry).middleware
        self.event_loop: Final = EventLoopLag(self.registry)
        self.registry.register(MetricCollector(sources))
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        build = Info("featom_build", "What this server is built from.", registry=self.registry)
        build.info(
            {
                "version": version("featom"),
                "python": platform.python_version(),
                "grpc": grpc.__version__,
            }
        )
