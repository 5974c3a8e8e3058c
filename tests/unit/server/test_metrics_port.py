"""The port for Prometheus: on any address, and only as long as it is asked for."""

import errno
import socket
import time
import urllib.error
import urllib.request

import pytest

from server.metrics import Metrics, serving_metrics
from server.metrics.port import interface
from server.services.feature_store import SERVICE
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


def test_a_thread_that_cannot_accept_lets_others_work_and_accepts_when_it_can(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without file descriptors: the port is ready to be read from all the time."""
    tried: list[float] = []
    accept = socket.socket.accept

    def accept_or_fail(listening: socket.socket) -> object:
        tried.append(time.monotonic())
        if tried[-1] < tried[0] + 0.5:
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(listening)

    caplog.set_level("INFO")
    monkeypatch.setattr(socket.socket, "accept", accept_or_fail)
    with serving_metrics(Metrics([SERVICE], []), "127.0.0.1:0"):
        address = f"http://127.0.0.1:{port_of(caplog)}/metrics"
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert answer.status == 200
    assert len(tried) <= 7
