"""Everything that the server tells Prometheus."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Final

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from server.metrics.calls import CallMetrics
from server.metrics.event_loop import EventLoopLag
from server.metrics.exposition import MetricCollector
from telemetry.metrics import MetricSource


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
