"""Traces of OpenTelemetry. Nothing else imports it, and this is imported only to turn it on."""

from server.tracing.provider import flush, provider_from_environment
from server.tracing.spans import OpenTelemetryTracer, traced

__all__ = ["OpenTelemetryTracer", "flush", "provider_from_environment", "traced"]
