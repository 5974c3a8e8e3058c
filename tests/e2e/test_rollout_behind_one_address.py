"""A server drains behind an address that all share: the Service `featom`, or a load balancer.

A client has one connection there. A health check of it would make the channel wait as soon as the
server says that it drains, though it still serves: the service config for such an address has none.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from grpc import StatusCode

from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from tests.consistency.environment import new_database, own_postgres
from tests.e2e.rolling.load import SERVICE_CONFIG, Load
from tests.e2e.rolling.one_address import one_address
from tests.kit.server_process import running_servers

FOR_ONE_ADDRESS = SERVICE_CONFIG.with_name("service_config_one_address.json")
CLIENTS = 8
SILENCE = 3.0
"""Seconds; a call takes some milliseconds."""
SETTINGS = {"drain_delay": 10, "drain_grace": 10, "probe_interval": 0.1}


@dataclass
class Drain:
    """What clients of one address saw while a server drained and ended."""

    load: Load
    fell_silent: bool
    """Whether for a while nobody was answered, though the server still served."""


async def drained_under_load(config: str) -> Drain:
    # A call that reaches a server just when it closes is cancelled by gRPC: docs/clients.md.
    load = Load(tries=3, again_on=frozenset({StatusCode.CANCELLED}), pause=0.005)
    with own_postgres() as postgres:
        async with (
            new_database(postgres) as dsn,
            running_servers(2, dsn, settings=SETTINGS) as servers,
            one_address(servers[0].address) as shared,
            clients(shared.address, config, load),
        ):
            shared.ready[:] = [servers[1].address]
            servers[0].signal(signal.SIGTERM)
            fell_silent = await falls_silent(load, servers[0].process)
            await servers[0].process.wait()
            await load.go_on()
    return Drain(load, fell_silent)


@asynccontextmanager
async def clients(address: str, config: str, load: Load) -> AsyncIterator[None]:
    """Clients at work on one channel for as long as the block."""
    options = (
        ("grpc.service_config", config),
        ("grpc.use_local_subchannel_pool", 1),
    )
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        stub = FeatureStoreServiceStub(channel)
        tasks = [asyncio.create_task(load.run(stub, each)) for each in range(CLIENTS)]
        try:
            await load.go_on()
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def falls_silent(load: Load, process: asyncio.subprocess.Process) -> bool:
    """Whether no update is answered for SILENCE seconds before the process ends."""
    while process.returncode is None:
        before = load.acknowledged.total()
        await asyncio.sleep(SILENCE)
        if process.returncode is None and load.acknowledged.total() == before:
            return True
    return False


async def test_a_drain_behind_one_address_fails_and_holds_up_no_call() -> None:
    drain = await drained_under_load(FOR_ONE_ADDRESS.read_text())
    assert drain.load.failed == []
    # Of those that are cancelled there are some at most, all of one moment.
    assert len(drain.load.retried) <= 2 * CLIENTS
    assert not any(failure.reason for failure in drain.load.retried)
    assert drain.load.lost == []
    assert not drain.fell_silent


async def test_with_a_health_check_of_the_only_connection_clients_are_seen_to_wait() -> None:
    assert (await drained_under_load(SERVICE_CONFIG.read_text())).fell_silent
