"""PostgreSQL goes away and comes back under load: callers are told, and nothing leaks."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from featom.v1.feature_store_pb2 import GetAggregateRequest
from server.embedded_postgres import EmbeddedPostgres
from tests.consistency.environment import own_postgres
from tests.consistency.settling import MOST_SESSIONS
from tests.kit.postgres import folder_for_postgres
from tests.kit.roles import migrate_for_servers
from tests.kit.server_process import ServerProcess, health_of, running_server
from tests.kit.sessions import sessions_of
from tests.kit.stubs import Failure, connected, failure_of, open_channel
from tests.kit.vectors import key_of, set_all
from tests.kit.waiting import eventually

CLIENTS = 16
OUTAGES = 2
PATIENCE = 100.0


class Load:
    """Clients that write and read all the time."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self.successes = 0
        self.failures: list[Failure] = []

    async def run(self, client: int) -> None:
        async with connected(self._server.address) as store:
            for number in range(1_000_000_000):
                try:
                    if number % 2:
                        await store.UpdateFeatures(set_all(f"entity-{client % 4}", number))
                    else:
                        key = key_of(f"entity-{client % 4}")
                        await store.GetAggregate(GetAggregateRequest(key=key))
                except grpc.aio.AioRpcError as error:
                    self.failures.append(failure_of(error))
                    await asyncio.sleep(0.05)
                else:
                    self.successes += 1

    async def must_go_on(self) -> None:
        """Return when everybody was served again."""
        goal = self.successes + 20 * CLIENTS
        await eventually(lambda: self.successes >= goal)


async def test_an_outage_is_told_to_callers_and_to_kubernetes_and_leaves_nothing_behind() -> None:
    with own_postgres() as own:
        postgres = own.server
        await migrate_for_servers(postgres.dsn)
        async with running_server(dsn=postgres.dsn) as server, loaded(server) as load:
            await load.must_go_on()
            others = server.descriptors() - (await sessions_of(postgres.dsn)).open
            assert load.failures == []

            for number in range(1, OUTAGES + 1):
                await outage(postgres, server, load)
                await logged_as_two_lines(server, number)

            assert (await sessions_of(postgres.dsn)).open <= MOST_SESSIONS
            await eventually(lambda: server.descriptors() <= others + MOST_SESSIONS)
    seen = Counter((failure.code, failure.reason) for failure in load.failures)
    assert {code for code, _ in seen} == {grpc.StatusCode.UNAVAILABLE}
    assert {reason for _, reason in seen} <= {"DATABASE_UNAVAILABLE", "COMMIT_UNKNOWN"}
    assert seen[grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"] > 0
    assert all(failure.retry_delay for failure in load.failures)


async def test_a_server_starts_its_own_postgresql_again_when_that_dies_under_load() -> None:
    with folder_for_postgres() as folder:
        async with running_server(data_dir=folder) as server, loaded(server) as load:
            await load.must_go_on()
            EmbeddedPostgres(folder / "postgres").kill()
            await load.must_go_on()
            assert "Traceback" not in server.log.read_text()
    assert {failure.code for failure in load.failures} <= {grpc.StatusCode.UNAVAILABLE}


async def outage(postgres: EmbeddedPostgres, server: ServerProcess, load: Load) -> None:
    """Stop PostgreSQL, look at the server, start PostgreSQL again."""
    failures = len(load.failures)
    async with open_channel(server.address) as channel:
        await asyncio.to_thread(postgres.stop)
        await until_health(channel, "readiness", "NOT_SERVING")
        assert await health_of(channel, "") == "NOT_SERVING"
        assert await health_of(channel, "featom.v1.FeatureStoreService") == "NOT_SERVING"
        assert await health_of(channel, "liveness") == "SERVING"
        await eventually(lambda: len(load.failures) >= failures + CLIENTS)

        await asyncio.to_thread(postgres.start)
        await until_health(channel, "readiness", "SERVING")
        assert await health_of(channel, "") == "SERVING"
        assert await health_of(channel, "liveness") == "SERVING"
    await load.must_go_on()


async def logged_as_two_lines(server: ServerProcess, outages: int) -> None:
    """Return once each of so many outages is a line at its beginning, and one at its end."""

    def lines() -> list[str]:
        log = server.log.read_text(errors="replace")
        return [line for line in log.splitlines() if "connections.outage: " in line]

    await eventually(lambda: len(lines()) >= 2 * outages)
    for begun, over in zip(lines()[::2], lines()[1::2], strict=True):
        assert "the database cannot work: " in begun
        for words in ("host ", "SQLSTATE ", "found while "):
            assert words in begun
        assert "the database works again: host " in over
        assert "failures by SQLSTATE: " in over


@asynccontextmanager
async def loaded(server: ServerProcess) -> AsyncIterator[Load]:
    load = Load(server)
    async with connected(server.address) as store:
        for entity in range(4):
            await store.UpdateFeatures(set_all(f"entity-{entity}", 0))
    clients = [asyncio.create_task(load.run(client)) for client in range(CLIENTS)]
    try:
        yield load
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def until_health(channel: grpc.aio.Channel, service: str, wanted: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while await health_of(channel, service) != wanted:
        if time.monotonic() > deadline:
            pytest.fail(f"{service} does not become {wanted}")
        await asyncio.sleep(0.05)
