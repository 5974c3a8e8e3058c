"""Where spans go, as the variables of OpenTelemetry say."""

import os
import threading
from importlib.metadata import version
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_SPAN_LINK_COUNT_LIMIT
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
)

from server.settings import SettingsRefused

LINKS: Final = 1_024
"""More than a batch has updates; the SDK alone would keep 128."""

FLUSH: Final = 3.0
"""Seconds."""


def provider_from_environment() -> TracerProvider:
    """A provider whose spans leave in a thread of its own; `flush` sends the last ones.

    Raises SettingsRefused if OTEL_TRACES_EXPORTER or OTEL_EXPORTER_OTLP_PROTOCOL ask for what
    there is not.
    """
    provider = provider_without_exporter()
    match os.environ.get("OTEL_TRACES_EXPORTER", "otlp"):
        case "otlp":
            _require_http()
            provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        case "console":
            provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
        case "none":
            pass
        case other:
            raise SettingsRefused(
                f"OTEL_TRACES_EXPORTER must be otlp, console or none, not {other!r}"
            )
    return provider


def flush(provider: TracerProvider) -> None:
    """Send what is left and stop, within FLUSH seconds: a collector that is away or slow must not
    hold up the end of the server.
    """
    last = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
    last.start()
    last.join(FLUSH)


def provider_without_exporter() -> TracerProvider:
    """A provider that records, and sends nothing yet."""
    given = OTEL_SPAN_LINK_COUNT_LIMIT in os.environ
    return TracerProvider(
        resource=Resource.create(
            {"service.name": "featom", "service.version": version("featom")}
        ).merge(OTELResourceDetector().detect()),
        span_limits=None if given else SpanLimits(max_links=LINKS),
        shutdown_on_exit=False,
    )


def _require_http() -> None:
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = os.environ.get(name, "http/protobuf")
        if protocol != "http/protobuf":
            raise SettingsRefused(f"{name} must be http/protobuf, not {protocol!r}")
