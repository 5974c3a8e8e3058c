"""The port for Prometheus: on any address, and only as long as it is asked for."""

import socket
import urllib.error
import urllib.request

import pytest

from server.feature_store import SERVICE
from server.metrics import Metrics, serving_metrics
from server.metrics.port import interface
from server.settings import SettingsRefused


def port_of(caplog: pytest.LogCaptureFixture) -> int:
    return int(caplog.messages[-1].rpartition(":")[2])


@pytest.mark.parametrize("host", ["127.0.0.1", "[::]"])
def test_metrics_are_served_during_the_block(host: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with serving_metrics(Metrics([SERVICE], []), f"{host}:0"):
        address = f"http://127.0.0.1:{port_of(caplog)}/metrics"
        with urllib.request.urlopen(address, timeout=5) as answer:
            assert b"grpc_server_started_total{" in answer.read()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=5)


def test_every_address_is_every_address_also_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    assert interface("[::]") == "0.0.0.0"
    assert interface("[::1]") == "::1"


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(SettingsRefused, match=f"cannot listen on {address}"),
            serving_metrics(Metrics([SERVICE], []), address),
        ):
            pass
