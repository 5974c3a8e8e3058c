"""The server beside its methods: what it offers, how it is, and how it begins and ends."""

import asyncio
import os
import signal
import subprocess
import sys
from typing import Any

import asyncpg
import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from domain.entity_key import EntityKey
from featom.v1 import feature_store_pb2 as pb
from featom.v1.aggregate_pb2 import EntityKey as KeyMessage
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue
from server.services.feature_store import SERVICE
from tests.kit.refusal import refusal
from tests.kit.roles import migrate_for_servers
from tests.kit.serving import ROOT, Server, serving
from tests.kit.waiting import eventually

SERVING = HealthCheckResponse.SERVING
NOT_SERVING = HealthCheckResponse.NOT_SERVING
NEEDING_THE_DATABASE = (
    "",
    "readiness",
    "featom.v1.FeatureStoreService",
    "featom.v1.EntityTypeService",
)


def test_health_knows_liveness_readiness_the_server_and_its_services(server: Server) -> None:
    for name in ("liveness", *NEEDING_THE_DATABASE):
        assert server.health(name) == SERVING
    assert server.health("featom.v1.NoSuchService") is None


async def test_health_can_be_watched(channel: grpc.aio.Channel) -> None:
    call: Any = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        HealthCheckRequest.SerializeToString,
        HealthCheckResponse.FromString,
    )
    watch = call(HealthCheckRequest(service="readiness"))
    assert (await watch.read()).status == SERVING
    watch.cancel()


async def test_a_method_that_does_not_exist_is_unimplemented(channel: grpc.aio.Channel) -> None:
    call: Any = channel.unary_unary("/featom.v1.FeatureStoreService/NoSuchMethod")
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call(b"")
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_every_method_of_the_contract_is_served(channel: grpc.aio.Channel) -> None:
    for method in SERVICE.methods:
        name = f"/{SERVICE.full_name}/{method.name}"
        if method.client_streaming:
            stream: Any = channel.stream_stream(name)()
            await stream.done_writing()
            assert await stream.code() is grpc.StatusCode.OK
        else:
            call: Any = channel.unary_unary(name)
            assert (await refusal(call(b""))).code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_server_without_its_schema_is_alive_and_becomes_ready_with_it(
    bare_database: str,
) -> None:
    with serving(bare_database, ready=False, probe_interval=0.05) as started:
        why = "not ready: the database has no schema, `featom migrate` makes it"
        await eventually(lambda: why in started.log)
        assert started.health("liveness") == SERVING
        assert {started.health(name) for name in NEEDING_THE_DATABASE} == {NOT_SERVING}
        await migrate_for_servers(bare_database)
        started.wait_until_ready()


async def test_without_a_database_callers_are_told_to_try_again_later() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    with serving(nowhere, ready=False, probe_interval=0.05) as started:
        async with grpc.aio.insecure_channel(started.address) as channel:
            store: Any = FeatureStoreServiceStub(channel)
            key = KeyMessage(entity_type="customer", entity_id="c-1")
            one = pb.FeatureUpdate(name="f", set=FeatureValue(int64_value=1))
            for call in (
                store.UpdateFeatures(pb.UpdateFeaturesRequest(key=key, updates=[one])),
                store.DeleteAggregate(pb.DeleteAggregateRequest(key=key)),
                store.GetAggregate(pb.GetAggregateRequest(key=key)),
                store.GetAggregate(pb.GetAggregateRequest(key=key, as_of_version=1)),
                store.BatchGetAggregates(pb.BatchGetAggregatesRequest(keys=[key])),
                store.ListAggregates(pb.ListAggregatesRequest(entity_type="customer")),
            ):
                refused = await refusal(call)
                assert refused.told == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
                assert refused.retry_after == 1.0
        assert started.health("liveness") == SERVING
        assert started.health("readiness") == NOT_SERVING


async def test_a_server_that_is_asked_to_stop_says_so_and_finishes_what_it_began(
    shared_database: str, key: EntityKey
) -> None:
    entity = KeyMessage(entity_type=key.entity_type, entity_id=key.entity_id)
    one = pb.FeatureUpdate(name="f", increment=FeatureValue(int64_value=1))
    request = pb.UpdateFeaturesRequest(key=entity, updates=[one])
    with serving(shared_database, drain_delay=1.0) as started:
        async with grpc.aio.insecure_channel(started.address) as channel:
            store: Any = FeatureStoreServiceStub(channel)
            await store.UpdateFeatures(request)
            started.process.send_signal(signal.SIGTERM)
            await eventually(lambda: started.health("readiness") == NOT_SERVING)
            answers = await asyncio.gather(*(store.UpdateFeatures(request) for _ in range(50)))
            assert sorted(answer.version for answer in answers) == list(range(2, 52))
        # It was asked already: to ask again is to end it at once.
        assert started.process.wait(timeout=30) == 0
        assert started.log.rstrip().endswith("stopped")
        assert "Traceback" not in started.log


def test_what_cannot_be_served_is_refused_in_one_line() -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "cli", "serve", "--listen", "192.0.2.1:1", "--allow-insecure"],
        cwd=ROOT,
        env=os.environ | {"FEATOM_DSN": "postgresql://nowhere/"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode == 1
    *_, said = refused.stderr.splitlines()  # grpc may have said something before
    assert said.startswith("featom: cannot listen on 192.0.2.1:1")
    assert "Traceback" not in refused.stderr


async def test_a_database_is_migrated_by_command_once(bare_database: str) -> None:
    def migrated() -> str:
        done = subprocess.run(
            [sys.executable, "-m", "cli", "migrate", "--dsn", bare_database],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    assert migrated().startswith("applied: 0001")
    assert migrated() == "nothing to do\n"
    connection = await asyncpg.connect(bare_database)
    assert await connection.fetchval("SELECT epoch FROM store_epoch") == 1
    await connection.close()
