"""A rollout as clients of the headless Service see it: by a name whose answers change, and late.

Fixed addresses would hide it: gRPC asks DNS again after 30 s at the earliest, and CoreDNS answers
from a cache for up to 30 s, so a client knows a new pod 60 s after it is ready. All of these times
are a tenth here.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import grpc
import yaml

from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from tests.consistency.environment import new_database, own_postgres
from tests.e2e.rolling.load import SERVICE_CONFIG, Load
from tests.e2e.rolling.names import CachingNames, caching_names
from tests.kit.server_process import ServerProcess, running_server
from tests.kit.serving import ROOT
from tests.kit.waiting import eventually

SCALE: Final = 10
CACHED: Final = 30 / SCALE
ASKED_AGAIN: Final = 30 / SCALE
PODS: Final = 3
CHANNELS: Final = 10
SETTINGS: Final = {
    "allow_insecure": True,
    "drain_delay": 0.5,
    "drain_grace": 10,
    "probe_interval": 0.1,
}


def min_ready_seconds() -> float:
    """That of the manifests."""
    text = (ROOT / "deploy/kubernetes/base/server.yaml").read_text()
    (server,) = yaml.safe_load_all(text)
    seconds: float = server["spec"]["minReadySeconds"]
    return seconds


@dataclass
class Cluster:
    """Pods with addresses of their own on one port, and the name server that knows them."""

    dsn: str
    names: CachingNames
    stack: AsyncExitStack
    port: int
    pods: dict[str, ServerProcess] = field(default_factory=dict)

    async def start(self, address: str) -> None:
        """Start a pod; from when it is ready the name leads to it."""
        server = running_server(dsn=self.dsn, listen=f"{address}:{self.port}", settings=SETTINGS)
        self.pods[address] = await self.stack.enter_async_context(server)
        self.names.ready.add(address)

    async def stop(self, address: str) -> None:
        """Let a pod drain; the name leads to it no more, for those who ask from now on."""
        self.names.ready.discard(address)
        assert await self.pods.pop(address).stop() == 0

    async def roll_out(self, min_ready: float) -> None:
        """Replace each pod by one with another address, as a StatefulSet does."""
        for address in list(self.pods):
            await self.stop(address)
            await self.start(f"127.0.1.{address.rpartition('.')[2]}")
            await asyncio.sleep(min_ready)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("0.0.0.0", 0))
        port: int = free.getsockname()[1]
        return port


@asynccontextmanager
async def cluster(cached: float = CACHED) -> AsyncIterator[Cluster]:
    with own_postgres() as postgres:
        async with (
            new_database(postgres) as dsn,
            caching_names(cached) as names,
            AsyncExitStack() as stack,
        ):
            made = Cluster(dsn, names, stack, free_port())
            await asyncio.gather(*(made.start(f"127.0.0.{10 + n}") for n in range(PODS)))
            yield made


@asynccontextmanager
async def clients(cluster: Cluster, load: Load) -> AsyncIterator[None]:
    """Clients at work, each with a channel of its own to the name."""
    target = f"dns://127.0.0.1:{cluster.names.port}/featom-pods.test:{cluster.port}"
    options = (
        ("grpc.service_config", SERVICE_CONFIG.read_text()),
        ("grpc.dns_min_time_between_resolutions_ms", int(ASKED_AGAIN * 1_000)),
        ("grpc.use_local_subchannel_pool", 1),
    )
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(target, options=options))
            for _ in range(CHANNELS)
        ]
        tasks = [
            asyncio.create_task(load.run(FeatureStoreServiceStub(channel), number))
            for number, channel in enumerate(channels)
        ]
        try:
            await load.go_on()
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_rollout_fails_no_call_of_clients_that_learn_of_new_pods_by_name() -> None:
    load = Load(tries=1, pause=0.1)
    async with cluster() as pods, clients(pods, load):
        await pods.roll_out(min_ready_seconds() / SCALE)
        await load.go_on()
        assert all(address.startswith("127.0.1.") for address in pods.pods)
        assert load.failed == []
        assert load.lost == []


async def test_clients_that_do_not_learn_of_new_pods_in_time_are_seen_to_fail() -> None:
    load = Load(tries=1, pause=0.1)
    # However slow the machine is, the whole rollout falls into the time of one cached answer.
    async with cluster(cached=3_600) as pods, clients(pods, load):
        await pods.roll_out(min_ready=0)
        await eventually(lambda: bool(load.failed))
