"""Clients: a channel, the generated stub, and what a failed call says."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub

_DETAILS: Final = "grpc-status-details-bin"
_OPTIONS: Final = (
    # A connection of its own, which finds a server soon after it was started again.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.enable_retries", 0),
)


def open_channel(address: str) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(address, options=_OPTIONS)


@asynccontextmanager
async def connected(address: str) -> "AsyncIterator[FeatureStoreServiceAsyncStub]":
    """A client of the server at `address`."""
    async with open_channel(address) as channel:
        yield FeatureStoreServiceStub(channel)


class Failure(NamedTuple):
    """What a failed call says."""

    code: grpc.StatusCode
    reason: str
    """Of its ErrorInfo; empty if it has none, as when grpc itself gave up."""
    metadata: dict[str, str]
    retry_delay: float | None
    """Seconds, if it carries a RetryInfo."""
    message: str


def failure_of(error: grpc.aio.AioRpcError) -> Failure:
    """What an error of a call says."""
    for name, value in error.trailing_metadata() or ():
        if name == _DETAILS and isinstance(value, bytes):
            return failure_in(Status.FromString(value))
    return _failure(error.code(), (), error.details() or "")


def failure_in(status: Status) -> Failure:
    """What a status says."""
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    return _failure(code, status.details, status.message)


def _failure(code: grpc.StatusCode, details: Iterable[Any], message: str) -> Failure:
    info, retry = ErrorInfo(), RetryInfo()
    for detail in details:
        if detail.Is(ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(RetryInfo.DESCRIPTOR):
            detail.Unpack(retry)
    delay = retry.retry_delay.ToTimedelta().total_seconds()
    asked = retry.HasField("retry_delay")
    return Failure(code, info.reason, dict(info.metadata), delay if asked else None, message)
