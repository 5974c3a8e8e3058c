"""One of two servers is stopped under full load, and no client that balances between them notices.

The clients use deploy/client/service_config.json, as any gRPC client can.
"""

import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.consistency.environment import new_database, own_postgres
from tests.e2e.rolling.load import Load, loaded
from tests.kit.server_process import ServerProcess, running_servers

CLIENTS: Final = 32
SETTINGS: Final = {"drain_delay": 0.5, "drain_grace": 60, "probe_interval": 0.1}


@asynccontextmanager
async def two_servers() -> AsyncIterator[list[ServerProcess]]:
    with own_postgres() as postgres:
        async with (
            new_database(postgres) as dsn,
            running_servers(2, dsn, settings=SETTINGS) as servers,
        ):
            yield servers


async def stop_under_load(
    servers: list[ServerProcess], load: Load, *, how: signal.Signals = signal.SIGTERM, retries: bool
) -> None:
    """Stop the first server while clients call both, and let them go on for a while."""
    addresses = [server.address for server in servers]
    async with loaded(load, addresses, clients=CLIENTS, retries=retries):
        await load.go_on()
        servers[0].signal(how)
        await servers[0].process.wait()
        await load.go_on()


async def test_a_server_that_drains_under_full_load_fails_no_call_of_a_balancing_client() -> None:
    async with two_servers() as servers:
        # Blind: without request ids gRPC's retries may not help, so the drain itself has to do.
        load = Load(tries=1, request_ids=False)
        await stop_under_load(servers, load, retries=True)
        assert servers[0].process.returncode == 0, servers[0].said()
        assert load.failed == []
        assert load.lost == []
        async with watching(servers[1]) as answers:
            assert await anext(answers) == health_pb2.HealthCheckResponse.SERVING
            begun = time.monotonic()
            await servers[1].stop()
            # Who watches its health does not hold it up.
            assert time.monotonic() - begun < SETTINGS["drain_grace"] / 2
            assert await anext(answers) == health_pb2.HealthCheckResponse.NOT_SERVING


@asynccontextmanager
async def watching(server: ServerProcess) -> AsyncIterator[AsyncIterator[int]]:
    """What a server says of its readiness, to somebody who never hangs up."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        call = stub.Watch(health_pb2.HealthCheckRequest(service="readiness"))

        async def answers() -> AsyncIterator[int]:
            async for answer in call:
                yield answer.status

        yield answers()
        call.cancel()
