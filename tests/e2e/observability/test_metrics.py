"""What calls leave in the metrics of a real server."""

import asyncio
import queue
import time
import urllib.request
from uuid import uuid4

import asyncpg
import grpc
import pytest

from featom.v1.aggregate_pb2 import EntityKey
from featom.v1.feature_store_pb2 import (
    FeatureUpdate,
    GetAggregateRequest,
    StreamUpdateFeaturesRequest,
    UpdateFeaturesRequest,
)
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue
from tests.kit.scraping import Scrape, metrics_address_of, scrape
from tests.kit.serving import Server

SERVICE = "featom.v1.FeatureStoreService"
UNARY = {"grpc_type": "unary", "grpc_service": SERVICE}
STREAM = {
    "grpc_type": "bidi_stream",
    "grpc_service": SERVICE,
    "grpc_method": "StreamUpdateFeatures",
}


def new_key() -> EntityKey:
    return EntityKey(entity_type="card", entity_id=str(uuid4()))


def addition(key: EntityKey, amount: int = 1) -> UpdateFeaturesRequest:
    value = FeatureValue(int64_value=amount)
    return UpdateFeaturesRequest(key=key, updates=[FeatureUpdate(name="n", increment=value)])


class Rise:
    """How far series have risen since this was made."""

    def __init__(self, server: Server, open_calls: int = 0) -> None:
        """`open_calls` have not ended when it is asked."""
        self._server = server
        self._open_calls = open_calls
        self._before = scrape(server)
        self._after: Scrape | None = None

    def of(self, name: str, **labels: str) -> float:
        if self._after is None:
            self._after = self._scrape()
        return self._after.total(name, **labels) - self._before.total(name, **labels)

    def _scrape(self) -> Scrape:
        """A caller may have its answer a moment before it is counted, or the call has ended."""
        latest = time.monotonic() + 60
        while time.monotonic() < latest:
            now = scrape(self._server)
            if self._is_settled(now):
                return now
            time.sleep(0.01)
        raise AssertionError("a call does not end, or a message of a stream has no answer")

    def _is_settled(self, now: Scrape) -> bool:
        begun = now.total("grpc_server_started_total")
        ended = now.total("grpc_server_handled_total")
        received = now.total("grpc_server_msg_received_total", **STREAM)
        sent = now.total("grpc_server_msg_sent_total", **STREAM)
        return begun == ended + self._open_calls and received == sent


def test_a_unary_call_is_counted_once_everywhere(observed: Server, channel: grpc.Channel) -> None:
    rise = Rise(observed)
    FeatureStoreServiceStub(channel).UpdateFeatures(addition(new_key()), timeout=60)
    method = UNARY | {"grpc_method": "UpdateFeatures"}
    for name in (
        "grpc_server_started_total",
        "grpc_server_msg_received_total",
        "grpc_server_msg_sent_total",
        "grpc_server_handling_seconds_count",
    ):
        assert rise.of(name, **method) == 1, name
    assert rise.of("grpc_server_handled_total", **method, grpc_code="OK") == 1
    assert rise.of("grpc_server_handled_total") == 1
    assert 0 < rise.of("grpc_server_handling_seconds_sum", **method) < 60


def test_a_call_that_fails_is_counted_by_its_code_and_its_reason(
    observed: Server, channel: grpc.Channel
) -> None:
    rise = Rise(observed)
    request = GetAggregateRequest(key=new_key())
    with pytest.raises(grpc.RpcError):
        FeatureStoreServiceStub(channel).GetAggregate(request, timeout=60)
    method = UNARY | {"grpc_method": "GetAggregate"}
    assert rise.of("grpc_server_handled_total", **method, grpc_code="NotFound") == 1
    assert rise.of("grpc_server_msg_sent_total", **method) == 0
    assert rise.of("featom_errors_total", reason="AGGREGATE_NOT_FOUND") == 1
    assert rise.of("featom_errors_total") == 1


def test_each_message_of_a_stream_is_counted_while_the_stream_lives(
    observed: Server, channel: grpc.Channel
) -> None:
    rise = Rise(observed, open_calls=1)
    refused = StreamUpdateFeaturesRequest(sequence=2, update=UpdateFeaturesRequest(key=new_key()))
    taken = StreamUpdateFeaturesRequest(sequence=1, update=addition(new_key()))
    messages: queue.SimpleQueue[StreamUpdateFeaturesRequest | None] = queue.SimpleQueue()
    for message in (taken, refused, taken):
        messages.put(message)
    stream = FeatureStoreServiceStub(channel).StreamUpdateFeatures(iter(messages.get, None))
    assert {next(stream).sequence for _ in range(3)} == {1, 2}
    assert rise.of("grpc_server_started_total", **STREAM) == 1
    assert rise.of("grpc_server_msg_received_total", **STREAM) == 3
    assert rise.of("grpc_server_msg_sent_total", **STREAM) == 3
    assert rise.of("featom_errors_total", reason="INVALID_VALUE") == 1
    messages.put(None)
    assert list(stream) == []


async def test_a_call_whose_caller_has_gone_is_counted_as_such(
    observed: Server, observed_database: str
) -> None:
    key = new_key()
    rise = Rise(observed)
    blocker = await asyncpg.connect(observed_database)
    async with grpc.aio.insecure_channel(observed.address) as channel:
        store = FeatureStoreServiceStub(channel)
        await store.UpdateFeatures(addition(key), timeout=60)
        async with blocker.transaction():
            await blocker.execute(
                "SELECT * FROM aggregates WHERE entity_id = $1 FOR UPDATE", key.entity_id
            )
            given_up = store.UpdateFeatures(addition(key))
            with pytest.raises(grpc.aio.AioRpcError) as too_late:
                await store.UpdateFeatures(addition(key), timeout=0.2)
            # Whoever is first: the caller's clock, or the server that sees no time for another try.
            ends = {
                grpc.StatusCode.DEADLINE_EXCEEDED: "DeadlineExceeded",
                grpc.StatusCode.UNAVAILABLE: "Unavailable",
            }
            assert too_late.value.code() in ends
            given_up.cancel()
            await asyncio.sleep(0.1)
    await blocker.close()
    method = UNARY | {"grpc_method": "UpdateFeatures"}
    assert rise.of("grpc_server_handled_total", **method, grpc_code="Canceled") == 1
    too_late_ones = (
        rise.of("grpc_server_handled_total", **method, grpc_code=end) for end in ends.values()
    )
    assert sum(too_late_ones) == 1
    assert rise.of("grpc_server_handled_total", **method, grpc_code="OK") == 1


async def test_updates_leave_traces_in_the_pipeline_and_reads_in_the_readers(
    observed: Server,
) -> None:
    rise = Rise(observed)
    key = new_key()
    async with grpc.aio.insecure_channel(observed.address) as channel:
        store = FeatureStoreServiceStub(channel)
        calls = [store.UpdateFeatures(addition(key), timeout=60) for _ in range(50)]
        await asyncio.gather(*calls)
        await store.GetAggregate(GetAggregateRequest(key=key), timeout=60)
    batches = rise.of("featom_pipeline_batch_size_count")
    assert 1 <= batches <= 50
    assert rise.of("featom_pipeline_batch_size_sum") == 50
    assert rise.of("featom_pipeline_queue_wait_seconds_count") == 50
    assert 0 < rise.of("featom_pipeline_lane_busy_seconds_total") < 60
    assert rise.of("featom_database_work_seconds_count", pool="writing") == batches
    assert rise.of("featom_read_batch_size_sum") == 1
    now = scrape(observed)
    assert now.value("featom_pipeline_lanes") == 2
    assert now.value("featom_pipeline_waiting") == 0
    assert now.value("featom_database_connections_limit", pool="writing") == 2
    assert now.total("featom_database_connections", pool="writing") >= 1


def test_the_server_says_what_it_is_and_that_it_is_ready(observed: Server) -> None:
    now = scrape(observed)
    assert now.value("featom_ready") == 1
    assert now.value("featom_draining") == 0
    assert now.total("featom_schema_info") >= 1
    assert now.total("featom_build_info") == 1
    assert now.total("process_resident_memory_bytes") > 0


def test_the_lag_of_the_event_loop_is_measured_ten_times_a_second(observed: Server) -> None:
    rise = Rise(observed)
    time.sleep(0.35)
    assert rise.of("featom_event_loop_lag_seconds_count") >= 2


def test_every_code_of_every_method_is_there_before_the_first_call(observed: Server) -> None:
    now = scrape(observed)
    method = UNARY | {"grpc_method": "DeleteAggregate"}
    assert now.value("grpc_server_handled_total", **method, grpc_code="Internal") == 0
    assert now.value("featom_errors_total", reason="INTERNAL") == 0


def test_metrics_tell_nothing_of_what_is_stored(observed: Server, channel: grpc.Channel) -> None:
    key = new_key()
    FeatureStoreServiceStub(channel).UpdateFeatures(addition(key), timeout=60)
    with urllib.request.urlopen(f"http://{metrics_address_of(observed)}/metrics") as answer:
        text = answer.read().decode()
    assert key.entity_id not in text
    assert "card" not in text
