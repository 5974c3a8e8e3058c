"""Updates on a stream, each recorded as an operation of its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import grpc

from featom.v1.feature_store_pb2 import StreamUpdateFeaturesRequest
from tests.consistency.caller import CANCELLED, Patience
from tests.consistency.messages import failed, reason_of, success, update_of
from tests.consistency.operations import Answer, Request, Verdict
from tests.consistency.recorder import Recorder
from tests.kit.stubs import failure_in, failure_of

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub

DRAINING: Final = "DRAINING"


async def update_on_stream(
    recorder: Recorder,
    store: "FeatureStoreServiceAsyncStub",
    requests: Sequence[Request],
    patience: Patience,
) -> str:
    """Send every update, and take the answers in whatever order they come.

    Returns why the stream ended early; empty if it did not.
    """
    waiting: dict[int, tuple[int, Request]] = {}

    async def messages() -> AsyncIterator[StreamUpdateFeaturesRequest]:
        for sequence, request in enumerate(requests):
            waiting[sequence] = recorder.invoke(request), request
            update = update_of(request.parts[0], request.request_id)
            yield StreamUpdateFeaturesRequest(sequence=sequence, update=update)

    rpc: Any = store.StreamUpdateFeatures(messages(), timeout=patience.timeout)
    end = Answer(Verdict.UNKNOWN, "NO_ANSWER")
    why = ""
    try:
        async with asyncio.timeout(patience.cancel_after or patience.timeout + 1):
            async for response in rpc:
                attempt, request = waiting.pop(response.sequence)
                recorder.returned(attempt, _answer(request, response))
    except grpc.aio.AioRpcError as error:
        why = reason_of(failure_of(error))
        # A server that drains decides everything that it has read, and says so.
        end = Answer(Verdict.REFUSED if why == DRAINING else Verdict.UNKNOWN, why)
    except TimeoutError:
        why = CANCELLED
        end = Answer(Verdict.UNKNOWN, why)
    finally:
        rpc.cancel()
        for attempt, _ in waiting.values():
            recorder.returned(attempt, end)
    return why


def _answer(request: Request, response: Any) -> Answer:
    if response.WhichOneof("result") == "response":
        return success(request, response.response)
    return failed(request, failure_in(response.error))
