"""Reflection on a server that tells everything about itself."""

from typing import Any

import grpc
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from tests.e2e.observability.collector import Collector
from tests.kit.scraping import scrape
from tests.kit.serving import Server

METHOD = "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_reflection_is_answered_and_traced_and_not_counted(
    observed: Server, channel: grpc.Channel, collector: Collector
) -> None:
    stub: Any = ServerReflectionStub(channel)
    requests = iter([ServerReflectionRequest(list_services="")])
    metadata = [("traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-01")]
    (answer,) = stub.ServerReflectionInfo(requests, timeout=60, metadata=metadata)
    assert len(answer.list_services_response.service) == 5
    assert collector.trace(TRACE_ID, METHOD)
    services = {dict(labels).get("grpc_service", "") for _, labels in scrape(observed).samples}
    assert not any("Reflection" in service for service in services)
