"""Where traces go: what OpenTelemetry's variables may say here, and what without them."""

import pytest
from opentelemetry.sdk.trace import TracerProvider

from server.settings import SettingsRefused
from server.tracing.provider import provider_from_environment, provider_without_exporter


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
    ],
)
def test_what_there_is_not_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsRefused, match=f"{name} must be .*, not '{value}'"):
        provider_from_environment()


def resource_of(provider: TracerProvider) -> dict[str, object]:
    return dict(provider.resource.attributes)


def test_the_service_has_a_name_unless_it_is_given_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resource_of(provider_without_exporter())["service.name"] == "featom"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "other")
    assert resource_of(provider_without_exporter())["service.name"] == "other"
