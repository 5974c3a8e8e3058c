"""A server that answers as a test says, for what a real one does only by chance."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from featom.v1.aggregate_pb2 import FeatureAggregate
from featom.v1.feature_store_pb2 import GetAggregateResponse, UpdateFeaturesResponse

ANSWERS = {
    "UpdateFeatures": UpdateFeaturesResponse(version=1),
    "GetAggregate": GetAggregateResponse(aggregate=FeatureAggregate(version=1)),
}


@dataclass(frozen=True)
class Step:
    """What happens to one attempt: it fails, or is answered after a while."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    reason: str = ""
    retry_delay: float | None = None
    seconds: float = 0.0


@dataclass
class Scripted:
    """What it did, and what it will do; after the last step it answers."""

    steps: list[Step]
    address: str = ""
    requests: list[bytes] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def answer(self, method: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        self.at.append(time.monotonic())
        step = self.steps.pop(0) if self.steps else Step()
        self.over.wait(step.seconds)
        if step.code is not grpc.StatusCode.OK:
            context.set_trailing_metadata(_details(step))
            context.abort(step.code, "as scripted")
        answer = ANSWERS.get(method)
        return b"" if answer is None else answer.SerializeToString()


def _details(step: Step) -> tuple[tuple[str, str | bytes], ...]:
    status = Status(code=step.code.value[0], message="as scripted")
    if step.reason:
        status.details.add().Pack(ErrorInfo(reason=step.reason, domain="featom.dev"))
    if step.retry_delay is not None:
        info = RetryInfo()
        info.retry_delay.FromNanoseconds(round(step.retry_delay * 1e9))
        status.details.add().Pack(info)
    details = ("grpc-status-details-bin", status.SerializeToString())
    return (details,) if status.details else ()


class _AnyMethod(grpc.GenericRpcHandler):
    def __init__(self, answer: Callable[[str, bytes, grpc.ServicerContext], bytes]) -> None:
        self._answer = answer

    def service(self, handler_call_details: Any) -> Any:
        service, _, method = handler_call_details.method[1:].partition("/")
        if not service.startswith("featom"):
            return None  # as a server without a health service
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._answer(method, request, context)
        )


@contextmanager
def scripted(*steps: Step) -> Iterator[Scripted]:
    script = Scripted(list(steps))
    server = grpc.server(ThreadPoolExecutor(8), handlers=[_AnyMethod(script.answer)])
    script.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield script
    finally:
        script.over.set()
        server.stop(None).wait()
