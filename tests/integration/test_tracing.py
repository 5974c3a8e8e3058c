"""The spans of real calls, from the call to each statement, kept in memory."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import StatusCode

from domain.entity_key import EntityKey
from domain.limits import DEFAULT_LIMITS
from featom.v1 import aggregate_pb2
from featom.v1.feature_store_pb2 import (
    FeatureUpdate,
    GetAggregateRequest,
    StreamUpdateFeaturesRequest,
    UpdateFeaturesRequest,
)
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue
from repository.postgres import PostgresOptions
from server.instrumentation import common_middleware
from server.rpc.decoding import Decoder
from server.rpc.registration import register
from server.rpc.stream_life import StreamLife
from server.rpc.unsent_bytes import UnsentBytes
from server.services.feature_store import SERVICE, FeatureStore
from server.tracing import OpenTelemetryTracer, traced
from server.tracing.provider import provider_without_exporter
from tests.integration.failing_commits import error, failing_commits
from tests.kit.fault_injection import Session, repository_on
from tests.kit.waiting import eventually

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
TRACEPARENT = ("traceparent", f"00-{TRACE}-{CALLER}-01")
UPDATE = "featom.v1.FeatureStoreService/UpdateFeatures"
SECRET = 4_711_471_147


class Begun(SpanProcessor):
    """Counts spans by name when they begin."""

    def __init__(self) -> None:
        self.names: Counter[str] = Counter()

    def on_start(self, span: Span, parent_context: object = None) -> None:
        self.names[span.name] += 1


class Spans:
    """What was recorded, and the ways to look it up."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._begun = Begun()
        self.begun = self._begun.names
        self.provider = provider_without_exporter()
        self.provider.add_span_processor(self._begun)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def all(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    def above(self, span: ReadableSpan) -> ReadableSpan:
        assert span.parent is not None
        (parent,) = (each for each in self.all if id_of(each) == span.parent.span_id)
        return parent

    async def until(self, name: str, count: int) -> None:
        """A call's span ends a moment after its caller has the answer."""
        await eventually(lambda: len(self.named(name)) >= count)
        assert len(self.named(name)) == count


def id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def linked(span: ReadableSpan) -> set[int]:
    return {connection.context.span_id for connection in span.links}


def attributes(span: ReadableSpan) -> Mapping[str, object]:
    return dict(span.attributes or {})


@asynccontextmanager
async def traced_server(dsn: str, spans: Spans) -> AsyncIterator["FeatureStoreServiceAsyncStub"]:
    options = PostgresOptions(tracer=OpenTelemetryTracer(spans.provider))
    async with repository_on(dsn, options) as repository:
        servicer = FeatureStore(
            repository,
            repository,
            DEFAULT_LIMITS,
            Decoder(4_000_000),
            StreamLife(60),
            UnsentBytes(2**20),
        )
        server = grpc.aio.server()
        register(
            server, SERVICE, servicer, (traced(spans.provider), *common_middleware(None, None))
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield FeatureStoreServiceStub(channel)
        await server.stop(None)


def update(key: EntityKey, amount: int = SECRET) -> UpdateFeaturesRequest:
    change = FeatureUpdate(name="n", increment=FeatureValue(int64_value=amount))
    return UpdateFeaturesRequest(key=aggregate_pb2.EntityKey(**key._asdict()), updates=[change])


def read(key: EntityKey) -> GetAggregateRequest:
    return GetAggregateRequest(key=aggregate_pb2.EntityKey(**key._asdict()))


async def _updated(store: "FeatureStoreServiceAsyncStub", key: EntityKey) -> None:
    await store.UpdateFeatures(update(key), timeout=60)


async def test_a_lone_update_is_one_trace_from_its_caller_to_each_statement(
    shared_database: str, key: EntityKey
) -> None:
    spans = Spans()
    async with traced_server(shared_database, spans) as store:
        await store.UpdateFeatures(
            update(key), metadata=(TRACEPARENT, ("x-request-id", "id-7")), timeout=60
        )
        await spans.until(UPDATE, 1)
    call, waiting, batch = spans.one(UPDATE), spans.one("update"), spans.one("commit")
    assert call.parent is not None
    assert f"{call.parent.span_id:016x}" == CALLER
    assert {f"{span.context.trace_id:032x}" for span in spans.all if span.context} == {TRACE}
    assert spans.above(waiting) is call
    assert spans.above(batch) is waiting
    for statement in ("read_for_update", "write_batch"):
        assert spans.above(spans.one(statement)) is batch
        assert spans.one(statement).kind is SpanKind.CLIENT
    assert call.kind is SpanKind.SERVER
    assert attributes(call) == {
        "rpc.system.name": "grpc",
        "rpc.method": UPDATE,
        "rpc.response.status_code": "OK",
        "featom.request_id": "id-7",
    }


async def test_every_update_of_a_batch_is_tied_to_it_and_it_to_every_update(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    spans = Spans()
    async with traced_server(shared_database, spans) as store:
        await store.UpdateFeatures(update(key), timeout=60)
        # While somebody holds the row, updates of it gather.
        async with session.transaction():
            await session.execute(
                "SELECT FROM aggregates WHERE entity_type = $1 FOR UPDATE", key.entity_type
            )
            calls = [asyncio.ensure_future(_updated(store, key)) for _ in range(399)]
            await eventually(lambda: spans.begun["update"] == 400)
        await asyncio.gather(*calls)
        await spans.until(UPDATE, 400)
    updates = {id_of(span): span for span in spans.named("update")}
    batches = {id_of(span): span for span in spans.named("commit")}
    assert len(updates) == 400
    assert len(batches) < 400
    assert max(len(linked(batch)) for batch in batches.values()) > 128
    for update_id, span in updates.items():
        assert linked(span)
        assert all(update_id in linked(batches[batch_id]) for batch_id in linked(span))
    for batch_id, span in batches.items():
        assert attributes(span)["featom.batch.size"] == len(linked(span))
        assert all(batch_id in linked(updates[update_id]) for update_id in linked(span))


async def test_an_update_that_is_tried_again_is_tied_to_each_batch_and_shows_why(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    spans = Spans()
    async with (
        failing_commits(session, key, error("40001"), times=2),
        traced_server(shared_database, spans) as store,
    ):
        await store.UpdateFeatures(update(key), timeout=60)
        await spans.until(UPDATE, 1)
    assert len(linked(spans.one("update"))) == 3
    failed = [
        attributes(span)["db.response.status_code"]
        for span in spans.named("write_batch")
        if span.status.status_code is StatusCode.ERROR
    ]
    assert failed == ["40001", "40001"]


async def test_each_message_of_a_stream_is_an_update_below_the_stream(
    shared_database: str, key: EntityKey
) -> None:
    spans = Spans()
    name = "featom.v1.FeatureStoreService/StreamUpdateFeatures"
    async with traced_server(shared_database, spans) as store:
        messages = [
            StreamUpdateFeaturesRequest(sequence=number, update=update(key)) for number in range(3)
        ]
        answers = [answer async for answer in store.StreamUpdateFeatures(iter(messages))]
        await spans.until(name, 1)
    assert len(answers) == 3
    call = spans.one(name)
    assert [spans.above(span) for span in spans.named("update")] == [call] * 3


async def test_reads_are_tied_to_the_query_that_answers_them(
    shared_database: str, key: EntityKey
) -> None:
    spans = Spans()
    name = "featom.v1.FeatureStoreService/GetAggregate"
    async with traced_server(shared_database, spans) as store:
        with pytest.raises(grpc.aio.AioRpcError):
            await store.GetAggregate(read(key), timeout=60)
        await spans.until(name, 1)
    call, query = spans.one(name), spans.one("query")
    assert spans.above(spans.one("read_aggregates")) is query
    assert linked(query) == {id_of(spans.one("read"))}
    assert spans.above(spans.one("read")) is call
    assert attributes(call)["rpc.response.status_code"] == "NOT_FOUND"
    assert call.status.status_code is StatusCode.UNSET, "the caller's doing is no failure"


async def test_what_the_caller_does_not_record_is_not_recorded(
    shared_database: str, key: EntityKey
) -> None:
    spans = Spans()
    async with traced_server(shared_database, spans) as store:
        not_sampled = ("traceparent", f"00-{TRACE}-{CALLER}-00")
        await store.UpdateFeatures(update(key), metadata=(not_sampled,), timeout=60)
        await store.UpdateFeatures(update(key), timeout=60)
        await spans.until(UPDATE, 1)
    assert len(spans.named(UPDATE)) == len(spans.named("commit")) == 1
    assert all(span.context.trace_id != int(TRACE, 16) for span in spans.all if span.context)


async def test_spans_say_nothing_of_what_is_stored(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    spans = Spans()
    async with traced_server(shared_database, spans) as store:
        await store.UpdateFeatures(update(key), timeout=60)
        failure = f"RAISE EXCEPTION '{SECRET}' USING ERRCODE = '23514'"
        async with failing_commits(session, key, failure, times=1):
            with pytest.raises(grpc.aio.AioRpcError):
                await store.UpdateFeatures(update(key), timeout=60)
        await spans.until(UPDATE, 2)
    for span in spans.all:
        assert str(SECRET) not in span.to_json()
        assert key.entity_type not in span.to_json()
