"""What tells of the calls while they run: metrics and traces, each only if it is asked for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.descriptor import ServiceDescriptor

from server.access_log import access_logged
from server.rpc.middleware import Middleware, with_errors
from server.settings import Settings, SettingsRefused
from telemetry.metrics import MetricSource
from telemetry.tracing import Tracer

if TYPE_CHECKING:
    from server.metrics import Metrics


class Tracing(NamedTuple):
    """What records calls, and what records below them."""

    middleware: Middleware
    tracer: Tracer


def metrics_of(
    settings: Settings, services: Sequence[ServiceDescriptor], sources: Sequence[MetricSource]
) -> "Metrics | None":
    """What counts the calls of some services and collects the metrics of other parts, if wanted."""
    if settings.metrics_listen is None:
        return None
    # What is off is not imported, so that a server starts sooner.
    from server.metrics import Metrics

    return Metrics(services, sources)


def common_middleware(metrics: "Metrics | None", tracing: Tracing | None) -> Sequence[Middleware]:
    """What is around every call, the outermost first."""
    traced = [tracing.middleware] if tracing else []
    metered = [metrics.middleware] if metrics else []
    return (*traced, access_logged, *metered, with_errors)


@contextmanager
def tracing_of(settings: Settings) -> Iterator[Tracing | None]:
    """What records traces during the block; what is recorded at its end is still sent.

    Raises SettingsRefused.
    """
    if not settings.tracing:
        yield None
        return
    try:
        from server import tracing
    except ImportError as error:
        raise SettingsRefused(f"tracing needs the extra featom[tracing]: {error}") from error
    provider = tracing.provider_from_environment()
    try:
        yield Tracing(tracing.traced(provider), tracing.OpenTelemetryTracer(provider))
    finally:
        tracing.flush(provider)


@contextmanager
def serving_metrics_on(metrics: "Metrics | None", address: str | None) -> Iterator[None]:
    """Serve metrics during the block, if there are any."""
    if metrics is None or address is None:
        yield
        return
    from server.metrics import serving_metrics

    with serving_metrics(metrics, address):
        yield
