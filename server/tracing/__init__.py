"""Traces of OpenTelemetry. Nothing else imports it, and this is imported only to turn it on."""

from server.tracing.calls import traced
from server.tracing.provider import flush, provider_from_environment
from server.tracing.tracer import OpenTelemetryTracer

__all__ = ["OpenTelemetryTracer", "flush", "provider_from_environment", "traced"]
