"""Dashboard and alerts on a real Prometheus: `make dashboard-check`.

It scrapes two servers on one database under load, some of which fails, and one that is guarded,
for what only such a server tells. Then each question of the dashboard must have an answer, and each
alert must be one that Prometheus can evaluate. It prints what was answered, and exits 1 if
something was not.
"""

import asyncio
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import yaml

from featom.v1.feature_store_pb2 import StreamUpdateFeaturesRequest
from tests.consistency.environment import new_database, own_postgres
from tests.deploy.observability import FOLDER, ROOT, alerts, panels
from tests.e2e.rolling.load import Load, loaded, one_more
from tests.kit.scraping import metrics_address_of
from tests.kit.secured_server import Fortress
from tests.kit.server_process import running_servers

PROMETHEUS: Final = ROOT / "build/prometheus/usr/bin/prometheus"
SECONDS_OF_LOAD: Final = 20
CLIENTS: Final = 8
STREAM: Final = "/featom.v1.FeatureStoreService/StreamUpdateFeatures"
# What Grafana puts in, with a scrape a second.
VARIABLES: Final = {"$job": ".*", "$instance": ".*", "$__rate_interval": "10s"}


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def prometheus(targets: list[str]) -> Iterator[str]:
    """A Prometheus that scrapes them each second, with the alerts; its address."""
    (port,) = free_ports(1)
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(FOLDER / "alerts.yaml")],
        "scrape_configs": [{"job_name": "featom", "static_configs": [{"targets": targets}]}],
    }
    with tempfile.TemporaryDirectory(prefix="featom-prometheus-") as folder:
        (Path(folder) / "prometheus.yaml").write_text(yaml.safe_dump(settings))
        with (Path(folder) / "log").open("w") as log:
            process = subprocess.Popen(
                [
                    PROMETHEUS,
                    f"--config.file={folder}/prometheus.yaml",
                    f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
            )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


@asynccontextmanager
async def watched_servers() -> AsyncIterator[list[str]]:
    """Two servers under load, and a guarded one; the addresses of the metrics."""
    with own_postgres() as postgres:
        async with new_database(postgres) as dsn:
            with guarded_server(dsn) as guarded:
                async with servers_under_load(dsn) as loaded_ones:
                    yield [*loaded_ones, guarded]


@contextmanager
def guarded_server(dsn: str) -> Iterator[str]:
    """One that lets few in, and whose issuer of tokens is away."""
    with (
        tempfile.TemporaryDirectory(prefix="featom-guarded-") as folder,
        Fortress(Path(folder)).serving(dsn, jwt_jwks="https://127.0.0.1:9/keys") as fortress,
    ):
        yield metrics_address_of(fortress.server)


@asynccontextmanager
async def servers_under_load(dsn: str) -> AsyncIterator[list[str]]:
    """Two servers, and clients of which some do wrong."""
    one, other = ({"metrics_listen": f"127.0.0.1:{port}"} for port in free_ports(2))
    async with (
        running_servers(1, dsn, settings=one) as first,
        running_servers(1, dsn, settings=other) as second,
    ):
        addresses = [server.address for server in (*first, *second)]
        async with (
            loaded(Load(tries=2), addresses, clients=CLIENTS, retries=True),
            doing_wrong(addresses[0]),
            streaming(addresses[1]),
        ):
            yield [str(each["metrics_listen"]) for each in (one, other)]


@asynccontextmanager
async def doing_wrong(address: str) -> AsyncIterator[None]:
    """Beside the block, calls that cannot succeed."""

    async def wrong() -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            method: Any = channel.unary_unary("/featom.v1.FeatureStoreService/GetAggregate")
            while True:
                await method(b"", timeout=5).code()
                await asyncio.sleep(0.1)

    task = asyncio.create_task(wrong())
    yield
    task.cancel()


@asynccontextmanager
async def streaming(address: str) -> AsyncIterator[None]:
    """Beside the block, updates on a stream."""

    async def stream() -> None:
        async with grpc.aio.insecure_channel(address) as channel:
            method: Any = channel.stream_stream(STREAM)
            call = method()
            for sequence in range(1, 1_000_000):
                update = one_more("streamed")
                request = StreamUpdateFeaturesRequest(sequence=sequence, update=update)
                await call.write(request.SerializeToString())
                await call.read()

    task = asyncio.create_task(stream())
    yield
    task.cancel()


def asked(address: str, path: str, **parameters: str) -> Any:
    """What the API of Prometheus answers; what it refuses is raised."""
    url = f"{address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]


def unanswered(address: str) -> Iterator[str]:
    """Each question of the dashboard without an answer; prints the others with theirs."""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            found = asked(address, "query", query=expression)["result"]
            numbers = [float(series["value"][1]) for series in found]
            if not numbers or all(number != number for number in numbers):
                yield f"{panel['title']}: {target['expr']}"
            else:
                shown = ", ".join(f"{number:.3g}" for number in numbers[:4])
                print(f"{panel['title']}, {target['legendFormat']}: {shown}")


def not_evaluated(address: str) -> Iterator[str]:
    """Each alert that Prometheus cannot evaluate."""
    groups = asked(address, "rules")["groups"]
    found = {rule["name"]: rule for group in groups for rule in group["rules"]}
    for alert in sorted({rule["alert"] for rule in alerts()}):
        health = found[alert]["health"] if alert in found else "not there"
        if health != "ok":
            yield f"{alert}: {health}"
        elif found[alert]["state"] != "inactive":
            print(f"alert {alert}: {found[alert]['state']}")


async def main() -> int:
    async with watched_servers() as targets:
        with prometheus(targets) as address:
            await asyncio.sleep(SECONDS_OF_LOAD)
            missing = [*unanswered(address), *not_evaluated(address)]
    for each in missing:
        print(f"NO ANSWER: {each}")
    print(f"{len(missing)} without an answer, at {time.strftime('%F %T')}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
