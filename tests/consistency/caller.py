"""Sends recorded requests."""

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import grpc

from tests.consistency.messages import Response, failed, message_of, success
from tests.consistency.operations import Answer, Kind, Request, Verdict
from tests.consistency.recorder import Recorder
from tests.kit.stubs import failure_of

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub

CANCELLED: Final = "cancelled by its client"


class Patience(NamedTuple):
    """How long a client waits, in seconds."""

    timeout: float = 15.0
    """Its deadline, of which the server knows."""
    cancel_after: float | None = None
    """When it hangs up."""


async def call(
    recorder: Recorder,
    store: "FeatureStoreServiceAsyncStub",
    request: Request,
    patience: Patience,
) -> Answer:
    """Send a request once; records and returns what came back."""
    method, message = _method(store, request), message_of(request)
    attempt = recorder.invoke(request)
    try:
        answer = await _answer(request, method(message, timeout=patience.timeout), patience)
    except asyncio.CancelledError:
        recorder.returned(attempt, Answer(Verdict.UNKNOWN, "abandoned"))
        raise
    recorder.returned(attempt, answer)
    return answer


async def _answer(request: Request, rpc: Any, patience: Patience) -> Answer:
    if patience.cancel_after is not None:
        asyncio.get_running_loop().call_later(patience.cancel_after, rpc.cancel)
    try:
        return success(request, cast(Response, await rpc))
    except grpc.aio.AioRpcError as error:
        return failed(request, failure_of(error))
    except asyncio.CancelledError:
        # Raised for the call's own end too; of ours nobody but our task knows.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            rpc.cancel()
            raise
        return Answer(Verdict.UNKNOWN, CANCELLED)


def _method(store: "FeatureStoreServiceAsyncStub", request: Request) -> Any:
    several = len(request.parts) > 1
    if request.kind is Kind.READ:
        return store.BatchGetAggregates if several else store.GetAggregate
    if request.kind is Kind.DELETE:
        return store.DeleteAggregate
    return store.BatchUpdateFeatures if several else store.UpdateFeatures
