"""What a call leaves with a collector of traces, and in the log of a real server."""

import json
import time
from typing import Any
from uuid import uuid4

import grpc

from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from tests.e2e.observability.collector import Collector
from tests.e2e.observability.test_metrics import addition, new_key
from tests.kit.serving import Server

UPDATE = "featom.v1.FeatureStoreService/UpdateFeatures"


def access_line_of(server: Server, request_id: str) -> dict[str, Any]:
    latest = time.monotonic() + 60
    while time.monotonic() < latest:
        lines: list[dict[str, Any]] = [
            line
            for line in map(json.loads, server.log.splitlines())
            if line.get("request_id") == request_id and line["logger"] == "featom.access"
        ]
        if lines:
            (line,) = lines
            return line
        time.sleep(0.02)
    raise AssertionError(server.log)


def test_a_call_its_log_line_and_its_statements_are_one_trace(
    observed: Server, collector: Collector, channel: grpc.Channel
) -> None:
    trace, request_id = uuid4().hex, str(uuid4())
    metadata = (("traceparent", f"00-{trace}-00f067aa0ba902b7-01"), ("x-request-id", request_id))
    FeatureStoreServiceStub(channel).UpdateFeatures(
        addition(new_key()), metadata=metadata, timeout=60
    )
    # That of the call itself is the last to end.
    spans = collector.trace(trace, UPDATE)
    line = access_line_of(observed, request_id)
    names = {span.name for span in spans}
    assert {UPDATE, "update", "commit", "read_for_update", "write_batch"} <= names
    (call,) = (span for span in spans if span.name == UPDATE)
    assert line["trace_id"] == trace
    assert line["span_id"] == call.span_id.hex()
    assert line["method"] == f"/{UPDATE}"
    assert line["code"] == "OK"
    assert 0 < line["seconds"] < 60
    assert collector.services == {"featom-under-test"}


def test_every_line_of_the_log_is_an_object(observed: Server) -> None:
    for line in observed.log.splitlines():
        assert {"time", "level", "logger", "message"} <= json.loads(line).keys(), line
