"""The health port of a real server: what Kubernetes asks, and nothing else."""

import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from featom.v1.feature_store_pb2 import ListAggregatesRequest
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from tests.kit.serving import Server, serving

SERVING = HealthCheckResponse.SERVING
NOT_SERVING = HealthCheckResponse.NOT_SERVING
PROBED = ("liveness", "readiness", "", "featom.v1.FeatureStoreService")


@contextmanager
def health_port_of(server: Server) -> Iterator[grpc.Channel]:
    found = re.search(r"health on (\S+)", server.log)
    assert found is not None, server.log
    with grpc.insecure_channel(found[1]) as channel:
        yield channel


def health(channel: grpc.Channel, service: str) -> int:
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        HealthCheckRequest.SerializeToString,
        HealthCheckResponse.FromString,
    )
    return int(check(HealthCheckRequest(service=service), timeout=60).status)


def until_health(channel: grpc.Channel, service: str, wanted: int) -> None:
    latest = time.monotonic() + 60.0
    while health(channel, service) != wanted:
        assert time.monotonic() < latest, f"{service} does not become {wanted}"
        time.sleep(0.02)


def test_both_ports_say_the_same_of_health(database: str) -> None:
    with (
        serving(database, health_listen="127.0.0.1:0") as server,
        health_port_of(server) as probes,
    ):
        for service in PROBED:
            assert health(probes, service) == SERVING
            assert server.health(service) == SERVING


def test_the_health_port_offers_nothing_but_health(database: str) -> None:
    with (
        serving(database, health_listen="127.0.0.1:0") as server,
        health_port_of(server) as probes,
    ):
        with pytest.raises(grpc.RpcError) as refused:
            FeatureStoreServiceStub(probes).ListAggregates(ListAggregatesRequest(), timeout=60)
        assert isinstance(refused.value, grpc.Call)
        assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_without_the_setting_there_is_no_health_port(database: str) -> None:
    with serving(database) as server:
        assert "health on" not in server.log


def test_before_the_migration_the_server_lives_and_is_not_ready(bare_database: str) -> None:
    with (
        serving(bare_database, health_listen="127.0.0.1:0", ready=False) as server,
        health_port_of(server) as probes,
    ):
        assert health(probes, "liveness") == SERVING
        assert health(probes, "readiness") == NOT_SERVING


def test_while_it_drains_the_server_lives_and_is_not_ready(database: str) -> None:
    with (
        serving(database, health_listen="127.0.0.1:0", drain_delay=1.0) as server,
        health_port_of(server) as probes,
    ):
        server.process.send_signal(signal.SIGTERM)
        until_health(probes, "readiness", NOT_SERVING)
        assert health(probes, "liveness") == SERVING
        assert server.process.wait(20.0) == 0


def test_a_server_without_its_password_file_is_ready_once_it_is_there(
    database: str, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    with serving(database, password_from=f"file:{file}", ready=False) as server:
        assert server.health("readiness") == NOT_SERVING
        file.write_text("whatever the test's own PostgreSQL is content with")
        server.wait_until_ready()
