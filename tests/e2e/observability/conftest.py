"""One server that tells everything about itself, for the tests of this folder."""

from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from tests.e2e.observability.collector import Collector, collecting
from tests.kit.postgres import Postgres
from tests.kit.secured_server import Fortress
from tests.kit.serving import Server, serving


@pytest.fixture(scope="package")
async def observed_database(postgres: Postgres, migrated_template: str) -> AsyncIterator[str]:
    async with postgres.database(migrated_template) as dsn:
        yield dsn


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    with collecting() as started:
        yield started


@pytest.fixture(scope="package")
def observed(observed_database: str, collector: Collector) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(
            "OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}"
        )
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        environment.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=featom-under-test")
        with serving(
            observed_database,
            metrics_listen="127.0.0.1:0",
            tracing=True,
            log_format="json",
            log_level="debug",
        ) as server:
            yield server


@pytest.fixture(scope="package")
def guarded(observed_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fortress]:
    """One that lets few in, for what only such a server tells. Its issuer of tokens is away."""
    with Fortress(tmp_path_factory.mktemp("guarded")).serving(
        observed_database, metrics_listen="127.0.0.1:0", jwt_jwks="https://127.0.0.1:9/keys"
    ) as fortress:
        yield fortress


@pytest.fixture
def channel(observed: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(observed.address) as opened:
        yield opened
