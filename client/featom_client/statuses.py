"""The errors of calls, as gRPC has them, as errors of the client."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import grpc

from featom_client import errors
from featom_client.contract import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo, Status
from featom_client.errors import REASONS, FeatomError, Violation

_DETAILS: Final = "grpc-status-details-bin"
_LOG_ID: Final = "x-request-id"

_CODES: Final[Mapping[grpc.StatusCode, type[FeatomError]]] = MappingProxyType(
    {
        grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequest,
        grpc.StatusCode.OUT_OF_RANGE: errors.InvalidRequest,
        grpc.StatusCode.NOT_FOUND: errors.NotFound,
        grpc.StatusCode.ALREADY_EXISTS: errors.AggregateExists,
        grpc.StatusCode.ABORTED: errors.EtagMismatch,
        grpc.StatusCode.FAILED_PRECONDITION: errors.Refused,
        grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
        grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
        grpc.StatusCode.RESOURCE_EXHAUSTED: errors.LimitExceeded,
        grpc.StatusCode.UNAVAILABLE: errors.Unreachable,
        # Also of a call that reached a server just when it closed: it may have been applied.
        grpc.StatusCode.CANCELLED: errors.Unreachable,
        grpc.StatusCode.DEADLINE_EXCEEDED: errors.CallTimeout,
    }
)
"""What a code means where no reason is known: gRPC itself, or a newer server, says it."""


def error_of(failure: Any, request_id: str = "") -> FeatomError:
    """The error that a grpc.RpcError, of a channel of either kind, is."""
    trailing: dict[str, Any] = dict(failure.trailing_metadata() or ())
    details = Status.FromString(trailing[_DETAILS]).details if _DETAILS in trailing else ()
    info, violations, delay = _read(details)
    kind = _kind(failure.code(), info.reason, delay)
    return kind(
        failure.details() or failure.code().name,
        reason=info.reason,
        violations=tuple(violations),
        metadata=info.metadata,
        request_id=request_id,
        log_id=str(trailing.get(_LOG_ID, "")),
        retry_delay=delay,
    )


def _kind(code: grpc.StatusCode, reason: str, delay: float | None) -> type[FeatomError]:
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and delay is not None:
        return errors.RateLimited
    if reason in REASONS:
        return REASONS[reason]
    if code is grpc.StatusCode.UNAVAILABLE and reason:
        return errors.Unavailable
    return _CODES.get(code, errors.ServerError)


def _read(details: Iterable[Any]) -> tuple[ErrorInfo, list[Violation], float | None]:
    """The reason, all violations, and the seconds after which to try again."""
    info, violations, delay = ErrorInfo(), list[Violation](), None
    for detail in details:
        name = detail.type_url.rpartition("/")[2]
        if name == "google.rpc.ErrorInfo":
            info = ErrorInfo.FromString(detail.value)
        elif name == "google.rpc.RetryInfo":
            pause = RetryInfo.FromString(detail.value).retry_delay
            delay = pause.seconds + pause.nanos / 1e9
        elif name == "google.rpc.BadRequest":
            for field in BadRequest.FromString(detail.value).field_violations:
                violations.append(Violation(field.field, field.description))
        elif name == "google.rpc.PreconditionFailure":
            for each in PreconditionFailure.FromString(detail.value).violations:
                violations.append(Violation(each.subject, each.description, each.type))
    return info, violations, delay
