"""Metrics as Prometheus wants them, made at each scrape."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import Metric as MetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from telemetry.metrics import Histogram, Metric, MetricKind, MetricSource


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
