"""Figures as Prometheus wants them, made at each scrape."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from telemetry.metrics import Distribution, Figure, FigureKind, FigureSource


class FigureCollector(Collector):
    """Asks the sources for their figures whenever Prometheus asks for metrics."""

    def __init__(self, sources: Sequence[FigureSource]) -> None:
        self._sources = sources

    def describe(self) -> Iterator[Metric]:
        """Nothing: the sources need not have figures yet when this is registered."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        for source in self._sources:
            for figure in source.figures():
                yield _family(figure)


def _family(figure: Figure) -> Metric:
    if figure.kind is FigureKind.DISTRIBUTION:
        return _histogram(figure)
    make = CounterMetricFamily if figure.kind is FigureKind.COUNTER else GaugeMetricFamily
    names = _label_names(figure)
    family = make(figure.name, figure.meaning, labels=names)
    for labels, value in figure.readings:
        assert not isinstance(value, Distribution)
        family.add_metric([labels[name] for name in names], value)
    return family


def _histogram(figure: Figure) -> HistogramMetricFamily:
    names = _label_names(figure)
    family = HistogramMetricFamily(figure.name, figure.meaning, labels=names)
    for labels, value in figure.readings:
        assert isinstance(value, Distribution)
        total = value.total
        bounds = [*map(floatToGoString, value.bounds), "+Inf"]
        buckets = list(zip(bounds, accumulate(list(value.counts)), strict=True))
        family.add_metric([labels[name] for name in names], buckets, total)
    return family


def _label_names(figure: Figure) -> list[str]:
    return list(figure.readings[0].labels) if figure.readings else []
