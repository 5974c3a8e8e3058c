"""Sends a request until it is answered, and counts why it had to be sent again."""

import asyncio
import itertools
import random
import time
from collections import Counter
from typing import Final, TypeVar, cast

import grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

ATTEMPT_SECONDS: Final = 10.0
GIVE_UP_SECONDS: Final = 120.0
FIRST_PAUSE: Final = 0.005
LONGEST_PAUSE: Final = 1.0

# An attempt that ran out of time, or that a server cancelled as it ended, may have been applied;
# the request id makes asking again safe.
RETRIED: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }
)

Request = TypeVar("Request")
Response = TypeVar("Response")


async def answered(
    method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
    request: Request,
    reasons: Counter[str],
) -> Response:
    """The answer to `request`; each attempt that failed is counted in `reasons`.

    Raises grpc.aio.AioRpcError when the error is not a transient one, or lasted too long.
    """
    give_up = time.monotonic() + GIVE_UP_SECONDS
    for attempt in itertools.count():
        try:
            return await method(request, timeout=ATTEMPT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() not in RETRIED or time.monotonic() > give_up:
                raise
            status = _status(error)
            reasons[reason(status) or error.code().name] += 1
        await asyncio.sleep(pause(status, attempt))
    raise AssertionError("the attempts do not end by themselves")


def reason(status: Status) -> str:
    """The reason that the server gave; empty if it gave none."""
    info = ErrorInfo()
    return info.reason if _unpack(status, info) else ""


def pause(status: Status, attempt: int) -> float:
    """Seconds to wait: a little over what the server asked for, or else exponential with jitter."""
    info = RetryInfo()
    if _unpack(status, info):
        asked = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
        return float(asked) * random.uniform(1, 1.25)
    return random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(attempt, 16)))


def _unpack(status: Status, detail: ErrorInfo | RetryInfo) -> bool:
    return any(packed.Unpack(detail) for packed in status.details)


def _status(error: grpc.aio.AioRpcError) -> Status:
    """The status with its details; an empty one if the error does not come from the server."""
    status = rpc_status.from_call(cast(grpc.Call, error))
    return Status() if status is None else cast(Status, status)
